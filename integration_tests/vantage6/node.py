"""An organization's node in a collaboration, and how tests handle it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration_tests.vantage6 import containers
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.program import Program
from integration_tests.vantage6.registration import Organization
from integration_tests.vantage6.server import Server, logging_settings


@dataclass(frozen=True)
class Settings:
    """What a node's owner decides; each has its name from the node's configuration file.

    `databases` has the files by their labels. A node copies them when it starts.
    """

    databases: Mapping[str, Path]
    algorithm_env: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, object] = field(default_factory=dict)


class Node:
    """A node that may be started and ended several times.

    Parameters
    ----------
    name : str
        Its name, at the server too; names of its containers, volumes and network contain it.
    organization : Organization
        Whose it is.
    server : Server
        Where it takes its tasks from.
    collaboration : int
        The id of the collaboration.
    api_key : str
        What it logs in with.
    private_key : Path | None
        The organization's key, in an encrypted collaboration.
    folder : Path
        Where it keeps all its files.
    port : int
        Where its proxy listens for algorithm containers.
    settings : Settings
        What its owner decided.
    """

    def __init__(
        self,
        name: str,
        organization: Organization,
        server: Server,
        collaboration: int,
        api_key: str,
        private_key: Path | None,
        folder: Path,
        port: int,
        settings: Settings,
    ) -> None:
        self.name = name
        self.organization = organization
        self.settings = settings
        self._server = server
        self._collaboration = collaboration
        self._api_key = api_key
        self._private_key = private_key
        self._folder = folder
        self._port = port
        self._program: Program | None = None

    @property
    def data(self) -> Path:
        """What its containers see as /mnt/data."""
        return self._folder / "data" / "vantage6" / "node" / self.name / "data"

    @property
    def proxy(self) -> str:
        """Where its containers find the server."""
        return f"http://{self._gateway}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._program is not None and self._program.running

    @property
    def log(self) -> str:
        """What it has written since it was started."""
        return self._program.log() if self._program else ""

    def launch(self) -> None:
        """Start it, and do not wait."""
        config = self._folder / f"{self.name}.yaml"
        config.write_text(json.dumps(self._configuration()))
        self._program = Program(
            "run_node.py",
            [str(config)],
            self._folder,
            {"PROXY_SERVER_HOST": self._gateway, "PROXY_SERVER_PORT": str(self._port)},
        )
        self._program.start()

    def wait_until_online(self) -> None:
        """Wait until the server tells it of new tasks."""
        joined = f"Node <{self.name}> joined room <collaboration_{self._collaboration}>"
        assert self._program is not None
        self._program.wait_until(lambda: joined in self.log, f"node {self.name} is online")

    def start(self) -> None:
        """Start it, and wait until it takes tasks."""
        self.launch()
        self.wait_until_online()

    def stop(self) -> None:
        """End it as its owner would: it removes its containers before it ends."""
        if self._program is not None:
            self._program.stop()

    def kill(self) -> None:
        """End it by SIGKILL; its containers go on."""
        assert self._program is not None
        self._program.kill()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it away for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def configured(self, settings: Settings) -> Iterator[None]:
        """Restart it with other settings, and once more with its own."""
        own = self.settings
        try:
            self.stop()
            self.settings = settings
            self.start()
            yield
        finally:
            self.stop()
            self.settings = own
            self.start()

    def containers(self) -> list[Container]:
        """Return its algorithm containers, ended ones too."""
        return containers.of_node(self.name)

    def container(self, run: int) -> Container:
        """Return the container of a run."""
        (found,) = (each for each in self.containers() if each.run == run)
        return found

    @property
    def _gateway(self) -> str:
        """The address that its containers have for this machine."""
        return containers.internal_network(f"vantage6-{self.name}-user-net")

    def _configuration(self) -> dict[str, Any]:
        return {
            "api_key": self._api_key,
            "server_url": self._server.host,
            "port": self._server.port,
            "api_path": self._server.api_path,
            "task_dir": "",  # required, and never read
            "databases": [
                {"label": label, "uri": str(path), "type": path.suffix.removeprefix(".")}
                for label, path in self.settings.databases.items()
            ],
            "encryption": {
                "enabled": self._private_key is not None,
                "private_key": str(self._private_key or ""),
            },
            "algorithm_env": dict(self.settings.algorithm_env),
            # Images are built here; there is nowhere to pull them from.
            "policies": {"require_algorithm_pull": False, **self.settings.policies},
            "logging": logging_settings(),
        }
