"""A Flower environment: its release, and its programs with the arguments that release takes."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from algorithm.flower.node_config import as_toml
from proxy.errors import FlowerError
from proxy.fleet.releases import era_of
from proxy.system import guard
from proxy.system.environment import for_flower
from proxy.system.process import Process

# What Flower's interpreter runs.
SCRIPTS = Path(__file__).parent / "scripts"
_HOST = "127.0.0.1"
# Where the programs that the bridge starts find the Flower environment.
ENVIRONMENT_VARIABLE = "FLOWER_V6_FLOWER_ENV"
# The file in a SuperNode's home that has its config; Flower takes text ending in .toml for a file.
NODE_CONFIG = "node-config.toml"
# The nightly releases are a distribution of their own.
_ASK_RELEASE = """
import importlib.metadata
for name in ("flwr", "flwr-nightly"):
    try:
        print(importlib.metadata.version(name))
        break
    except importlib.metadata.PackageNotFoundError:
        pass
"""
_NO_FLOWER_HINT = (
    "Install flwr there, or name an environment that has it: with --flower-env, or as flower-env in"
    " a station's file."
)
# How often a SuperNode's SuperExec looks for a message, unless the caller's environment says
# otherwise; Flower's default is 1 (flwr 1.41, `supercore/superexec/run_superexec.py`).
_TASK_POLL_SECONDS = "0.1"


@dataclass(frozen=True)
class SuperLink:
    """A SuperLink that was started, and where (HOST:PORT) its APIs are."""

    process: Process
    fleet: str
    control: str


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
                f"Flower is not installed in {self.folder}: bin/flower-supernode is missing.",
                _NO_FLOWER_HINT,
            )
        completed = subprocess.run(
            [self._programs / "python", "-I", "-c", _ASK_RELEASE],
            env=for_flower(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if completed.returncode or not completed.stdout.strip():
            raise FlowerError(
                f"The Python in {self.folder} knows neither flwr nor flwr-nightly."
                f"{completed.stderr}",
                _NO_FLOWER_HINT,
            )
        self.release = completed.stdout.strip()
        self._era = era_of(self.release)

    @property
    def transport(self) -> Literal["grpc", "http"]:
        """What its SuperNodes speak."""
        return self._era.transport

    @classmethod
    def from_environment(cls) -> "Flower":
        """Return the environment that FLOWER_V6_FLOWER_ENV names, else the bridge's own."""
        own = Path(sys.executable).parent.parent
        return cls(Path(os.environ.get(ENVIRONMENT_VARIABLE) or own))

    def environment(self, home: Path) -> Mapping[str, str]:
        """Return the environment variables for Flower's programs.

        They are the caller's without the bridge's own (`proxy.system.environment`), and with a
        private Flower home, so that neither other jobs nor the user's own settings are touched.
        What Flower's programs say to each other goes through no proxy.
        """
        not_proxied = ",".join(
            filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), _HOST])
        )
        return {
            **for_flower(os.environ),
            "no_proxy": not_proxied,
            "NO_PROXY": not_proxied,
            "PATH": f"{self._programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def start_superlink(self, home: Path, log: Path) -> SuperLink:
        """Start a SuperLink on free ports of the loopback interface."""
        addresses = _free_addresses()
        command = _fill(self._era.superlink, addresses)
        return SuperLink(
            Process(
                self._guarded(str(SCRIPTS / "run_superlink.py"), *self.command(*command)),
                self.environment(home),
                log,
            ),
            fleet=addresses["fleet"],
            control=self._era.control.format(**addresses),
        )

    def start_supernode(self, superlink: str, node_config: str, home: Path, log: Path) -> Process:
        """Start a SuperNode that belongs to the SuperLink at an address (HOST:PORT).

        Its config goes to a file in its home: other users see the arguments of its command.
        """
        home.mkdir(parents=True, exist_ok=True)
        config = home / NODE_CONFIG
        config.touch(0o600)
        config.write_text(as_toml(node_config), encoding="utf-8")
        values = {**_free_addresses(), "superlink": superlink, "node_config": str(config)}
        command = _fill(self._era.supernode, values)
        polling = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": _TASK_POLL_SECONDS}
        return Process(
            self._guarded(*self.command(*command)), {**polling, **self.environment(home)}, log
        )

    def name_superlink(self, name: str, address: str, home: Path, app: Path) -> None:
        """Let `flwr run APP NAME` find the SuperLink whose Control API is at an address.

        Until 1.25 the app's own pyproject.toml says so: `app` must be a copy.
        """
        if self._era.connections == "config.toml":
            table, file = f"superlink.{name}", home / "config.toml"
        else:
            table, file = f"tool.flwr.federations.{name}", app / "pyproject.toml"
        with file.open("a") as target:
            target.write(f'\n[{table}]\naddress = "{address}"\ninsecure = true\n')

    def list_runs(self, name: str, app: Path) -> list[str]:
        """Return the command line that lists the runs of a SuperLink that was named."""
        return self.command(*_fill(self._era.list_runs, {"name": name, "app": str(app)}))

    def registration(
        self, public_key: Path, name: str = "SUPERLINK", app: str = "APP"
    ) -> list[str]:
        """Return what lets the SuperNode with a key into a SuperLink that was named.

        Raises
        ------
        FlowerError
            If this release has no such command.
        """
        if not self._era.register:
            raise FlowerError(
                f"Flower {self.release} has no command that registers SuperNodes.",
                "Keys that are registered at a SuperLink need flwr 1.23 or newer.",
            )
        values = {"public_key": str(public_key), "name": name, "app": app}
        return _fill(self._era.register, values)

    def _guarded(self, script: str, *arguments: str) -> list[str]:
        """Return the command line that runs a script whose ports only our user reaches."""
        return self.command("python", guard.__file__, script, *arguments)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line that starts one of Flower's programs."""
        return [str(self._programs / program), *arguments]


def _free_addresses() -> dict[str, str]:
    """Return addresses that nobody listens at, and their ports, by the names in commands."""
    names = ("fleet", "control", "other", "another")
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind((_HOST, 0))
        ports = {name: probe.getsockname()[1] for name, probe in zip(names, probes, strict=True)}
    addresses = {name: f"{_HOST}:{port}" for name, port in ports.items()}
    return {**addresses, **{f"{name}_port": str(port) for name, port in ports.items()}}


def _fill(template: Sequence[str], values: Mapping[str, str]) -> list[str]:
    return [part.format(**values) for part in template]
