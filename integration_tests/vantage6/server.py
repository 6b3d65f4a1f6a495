"""A vantage6 server, and how tests handle it."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from integration_tests.vantage6.program import Program

_ANSWERS_WITHIN_SECONDS = 5.0


class Server:
    """A server that may be started and ended several times, on one database.

    Parameters
    ----------
    folder : Path
        Where it keeps all its files.
    port : int
        Where it listens.
    database : str | None
        Where its database is, as SQLAlchemy wants it; if None, SQLite's is in the folder.
    """

    host = "http://127.0.0.1"
    api_path = "/api"

    def __init__(self, folder: Path, port: int, database: str | None = None) -> None:
        self.port = port
        self.sqlite = folder / "server.sqlite"
        config = folder / "server.yaml"
        config.write_text(
            json.dumps(
                {
                    "description": "",
                    "ip": "127.0.0.1",
                    "port": port,
                    "allow_drop_all": False,
                    "api_path": self.api_path,
                    "uri": database or f"sqlite:///{self.sqlite}",
                    # Without it, all tokens are void after a restart.
                    "jwt_secret_key": secrets.token_hex(),
                    "logging": {**logging_settings(), "file": "server.log"},
                }
            )
        )
        self._program = Program("run_server.py", [str(config), str(port)], folder)

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"{self.host}:{self.port}{self.api_path}"

    @property
    def log(self) -> str:
        """What it has written since it was started."""
        return self._program.log()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._program.start()
        self._program.wait_until(self._answers, "the vantage6 server answers")

    def stop(self) -> None:
        """End it by SIGTERM."""
        self._program.stop()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._program.kill()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Have it dead for a while; nodes find it again some seconds after that."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def _answers(self) -> bool:
        try:
            answer = requests.get(f"{self.url}/version", timeout=_ANSWERS_WITHIN_SECONDS)
        except requests.RequestException:
            return False
        return answer.ok


def logging_settings() -> dict[str, object]:
    """Return the part of a configuration that server and nodes have in common."""
    return {
        "level": "INFO",
        "use_console": True,
        "backup_count": 1,
        "max_size": 1024,
        "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        "datefmt": "%H:%M:%S",
        "loggers": [],
    }
