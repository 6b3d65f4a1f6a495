"""vantage6 HQ, and how tests handle it."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from integration_tests.vantage6.server import logging_settings
from integration_tests.vantage6_5.keycloak import ADMIN_CLIENT, Keycloak
from integration_tests.vantage6_5.postgresql import PostgreSQL
from integration_tests.vantage6_5.services import BIN, Service

ADMINISTRATOR = "admin"
_ANSWERS_WITHIN_SECONDS = 5.0
_DATABASE = "hq"
_SCRIPTS = "/mnt/scripts"


class HQ:
    """HQ, which may be started and ended several times, on one database.

    Parameters
    ----------
    name : str
        Of its container.
    folder : Path
        A new folder for its configuration.
    port : int
        Where it listens.
    postgresql : PostgreSQL
        Has its database.
    keycloak : Keycloak
        Where users and nodes log in.
    admin_secret : str
        What it logs in there with.
    """

    host = "http://127.0.0.1"
    api_path = "/hq"

    def __init__(
        self,
        name: str,
        folder: Path,
        port: int,
        postgresql: PostgreSQL,
        keycloak: Keycloak,
        admin_secret: str,
    ) -> None:
        self.port = port
        self.keycloak = keycloak
        self._postgresql = postgresql
        folder.mkdir()
        config = folder / "hq.yaml"
        settings = {
            "api_path": self.api_path,
            "port": port,
            "uri": postgresql.create(_DATABASE),
            # Without it, all containers' tokens are void after a restart.
            "jwt_secret_key": secrets.token_hex(32),
            "logging": {**logging_settings(), "file": "hq.log"},
        }
        config.write_text(json.dumps(settings))
        # -P: the modules beside the script are not for it to import.
        self._service = Service(
            name,
            [f"{BIN}/python", "-P", "-u", f"{_SCRIPTS}/serve_hq.py", "/mnt/hq.yaml", str(port)],
            {config: "/mnt/hq.yaml:ro", Path(__file__).parent: f"{_SCRIPTS}:ro"},
            {
                "KEYCLOAK_URL": keycloak.realm.url,
                "KEYCLOAK_REALM": keycloak.realm.name,
                "KEYCLOAK_ADMIN_USERNAME": ADMINISTRATOR,
                "KEYCLOAK_ADMIN_PASSWORD": secrets.token_urlsafe(),
                "KEYCLOAK_ADMIN_CLIENT": ADMIN_CLIENT,
                "KEYCLOAK_ADMIN_CLIENT_SECRET": admin_secret,
            },
        )

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"{self.host}:{self.port}{self.api_path}"

    @property
    def log(self) -> str:
        """What it has written since it was started."""
        return self._service.log()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._service.start()
        self._service.wait_until(self._answers, "HQ answers")

    def stop(self) -> None:
        """End it by SIGTERM."""
        self._service.stop()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._service.kill()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Have it dead for a while; nodes find it again some seconds after that."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def rows(self, statement: str) -> list[list[str]]:
        """Return what its database says to a query."""
        return self._postgresql.query(statement, _DATABASE)

    def copy(self, file: Path, place: str) -> None:
        """Copy a file into its container, for `python`."""
        self._service.copy(file, place)

    def python(self, script: str, *arguments: str) -> str:
        """Run a script of this folder with vantage6's own packages; returns what it printed."""
        return self._service.run(f"{BIN}/python", "-P", f"{_SCRIPTS}/{script}", *arguments)

    def _answers(self) -> bool:
        try:
            answer = requests.get(f"{self.url}/version", timeout=_ANSWERS_WITHIN_SECONDS)
        except requests.RequestException:
            return False
        return answer.ok
