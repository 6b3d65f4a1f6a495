"""A Flower environment: its release, and its programs with the arguments that release takes."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.errors import FlowerError
from proxy.fleet.releases import era_of
from proxy.process import Process

HOST = "127.0.0.1"
# Where the programs that the bridge starts find the Flower environment.
ENVIRONMENT_VARIABLE = "FLOWER_V6_FLOWER_ENV"
_ASK_RELEASE = "import importlib.metadata as m; print(m.version('flwr'))"
# How often a SuperNode's SuperExec looks for a message, unless the caller's environment says
# otherwise; Flower's default is 1 (flwr 1.41, `supercore/superexec/run_superexec.py`).
_TASK_POLL_SECONDS = "0.1"


class Flower:
    """Flower's programs in one environment.

    Parameters
    ----------
    folder : Path
        The environment that holds Flower: a virtual environment's folder.

    Raises
    ------
    FlowerError
        If there is no Flower, or one that the bridge does not support.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._programs = self.folder / "bin"
        if not (self._programs / "flower-supernode").exists():
            raise FlowerError(
                f"There is no Flower in {self.folder}: bin/flower-supernode is missing.",
                "Install flwr there, or name the environment that has it with --flower-env.",
            )
        asked = subprocess.run(
            [self._programs / "python", "-I", "-c", _ASK_RELEASE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            raise FlowerError(f"The Python in {self.folder} does not know flwr: {asked.stderr}")
        self.release = asked.stdout.strip()
        self._era = era_of(self.release)

    @classmethod
    def from_environment(cls) -> "Flower":
        """Return the environment that FLOWER_V6_FLOWER_ENV names, else the bridge's own."""
        own = Path(sys.executable).parent.parent
        return cls(Path(os.environ.get(ENVIRONMENT_VARIABLE) or own))

    def environment(self, home: Path) -> Mapping[str, str]:
        """Return the environment variables for Flower's programs.

        They are the caller's, but for a private Flower home, so that neither other jobs nor the
        user's own settings are touched.
        """
        return {
            **os.environ,
            "PATH": f"{self._programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def start_superlink(self, port: int, home: Path, log: Path) -> Process:
        """Start a SuperLink on a port of the loopback interface."""
        command = _fill(self._era.superlink, host=HOST, port=port)
        return Process(self.command(*command), self.environment(home), log)

    def start_supernode(self, superlink: str, node_config: str, home: Path, log: Path) -> Process:
        """Start a SuperNode that belongs to the SuperLink at an address (HOST:PORT)."""
        command = _fill(
            self._era.supernode,
            superlink=superlink,
            host=HOST,
            port=free_port(),
            node_config=node_config,
        )
        polling = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": _TASK_POLL_SECONDS}
        return Process(self.command(*command), {**polling, **self.environment(home)}, log)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line that starts one of Flower's programs."""
        return [str(self._programs / program), *arguments]


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _fill(template: Sequence[str], **values: object) -> list[str]:
    return [part.format(**values) if "{" in part else part for part in template]
