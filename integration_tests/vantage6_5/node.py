"""An organization's node in a collaboration, and how tests handle it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from integration_tests.vantage6 import containers
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.node import Settings
from integration_tests.vantage6.registration import Organization
from integration_tests.vantage6.server import logging_settings
from integration_tests.vantage6_5.hq import HQ
from integration_tests.vantage6_5.kubernetes import Kubernetes
from integration_tests.vantage6_5.services import BIN, Service

NAMESPACE = "vantage6-tasks"
# Where the chart has the node find things (`node/globals.py`).
_CONFIG = "/app/config/config.yaml"
_TASKS = "/app/tasks"
_DATABASES = "/app/databases"
_KEY = "/app/private_key.pem"
_TALKATIVE = ("kubernetes.client.rest", "urllib3", "requests", "engineio.client")
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Node:
    """A node that may be started and ended several times.

    Parameters
    ----------
    name : str
        Its name, at HQ and in Docker.
    organization : Organization
        Whose it is.
    hq : HQ
        Where it takes its tasks from.
    kubernetes : Kubernetes
        Where it has them run.
    gateway : str
        The address that central functions have for this machine.
    api_key : str
        What it logs in with.
    private_key : Path | None
        The organization's key, in an encrypted collaboration.
    folder : Path
        Where it keeps all its files.
    port : int
        Where its proxy listens.
    settings : Settings
        What its owner decided. A database without a suffix is a folder.
    """

    def __init__(
        self,
        name: str,
        organization: Organization,
        hq: HQ,
        kubernetes: Kubernetes,
        gateway: str,
        api_key: str,
        private_key: Path | None,
        folder: Path,
        port: int,
        settings: Settings,
    ) -> None:
        self.name = name
        self.organization = organization
        self.settings = settings
        # `cli/context/node.py`; the jobs of the node have it as their label.
        self.identifier = sha256(api_key.encode()).hexdigest()[:16]
        self._hq = hq
        self._kubernetes = kubernetes
        self._gateway = gateway
        self._api_key = api_key
        self._private_key = private_key
        self._folder = folder
        self._port = port
        self._service: Service | None = None
        self.tasks.mkdir()

    @property
    def tasks(self) -> Path:
        """Where it keeps sessions, and inputs and outputs of runs."""
        return self._folder / "tasks"

    def session_folder(self, session: int) -> Path:
        """Return what the containers of a session share (`node/k8s/session_manager.py`)."""
        return self.tasks / "sessions" / f"session{session:09d}"

    @property
    def proxy(self) -> str:
        """Where its central functions find HQ."""
        return f"http://{self._gateway}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._service is not None and self._service.running

    @property
    def log(self) -> str:
        """What it has written since it was started."""
        return self._service.log() if self._service else ""

    def launch(self) -> None:
        """Start it, and do not wait."""
        config = self._folder / "node.yaml"
        config.write_text(json.dumps(self._configuration()))
        mounts = {
            config: f"{_CONFIG}:ro",
            self.tasks: _TASKS,
            self._kubernetes.account: f"{_ACCOUNT}:ro",
        }
        if self._private_key is not None:
            mounts[self._private_key] = f"{_KEY}:ro"
        environment = {
            "V6_API_KEY": self._api_key,
            "V6_NODE_NAME": self.name,
            "V6_PROXY_HOST": f"http://{self._gateway}",
            "V6_PROXY_PORT": str(self._port),
            "KEYCLOAK_URL": self._hq.keycloak.realm.url,
            "KEYCLOAK_REALM": self._hq.keycloak.realm.name,
            **self._kubernetes.environment,
            "DATABASE_LABELS": ",".join(self.settings.databases),
        }
        for label, path in self.settings.databases.items():
            kind = path.suffix.removeprefix(".") or "folder"
            mounts[path] = f"{_DATABASES}/{label}.{kind}:ro"
            name = label.replace("-", "_").upper()
            environment |= {f"DATABASE_{name}_URI": str(path), f"DATABASE_{name}_TYPE": kind}
        self._service = Service(
            self.name, [f"{BIN}/vnode-local", "start", "-c", _CONFIG], mounts, environment
        )
        self._service.start()

    def wait_until_online(self) -> None:
        """Wait until HQ tells it of new tasks."""
        assert self._service is not None
        self._service.wait_until(lambda: "Tasks synced" in self.log, f"node {self.name} is online")

    def start(self) -> None:
        """Start it, and wait until it takes tasks."""
        self.launch()
        self.wait_until_online()

    def stop(self) -> None:
        """End it as Kubernetes would. It knows no SIGTERM, so its containers go on."""
        if self._service is not None:
            self._service.stop()

    def kill(self) -> None:
        """End it by SIGKILL; its containers go on."""
        assert self._service is not None
        self._service.kill()

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
        return containers.of_node(self.identifier)

    def container(self, run: int) -> Container:
        """Return the container of a run."""
        (found,) = (each for each in self.containers() if each.run == run)
        return found

    def _configuration(self) -> dict[str, Any]:
        return {
            "api_path": self._hq.api_path,
            "hq_url": self._hq.host,
            "port": self._hq.port,
            # Else it ends where its own probe cannot show that containers have no way out.
            "production": False,
            "node_proxy_port": self._port,
            "task_dir": str(self.tasks),
            "task_namespace": NAMESPACE,
            "encryption": {
                "enabled": self._private_key is not None,
                "private_key": _KEY if self._private_key else None,
            },
            "algorithm_env": self.settings.algorithm_env,
            # Images are built here; there is nowhere to pull them from.
            "policies": {"require_algorithm_pull": False, **self.settings.policies},
            "logging": {
                **logging_settings(),
                "file": "node.log",
                # It tells at this level only that it is online.
                "level": "DEBUG",
                "loggers": [{"name": name, "level": "warning"} for name in _TALKATIVE],
            },
        }
