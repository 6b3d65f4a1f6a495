"""What the integration tests stand on: federations, native and bridged, and the command itself.

A `Federation` is a real SuperLink with real SuperNodes, or with stations of the bridge in their
place; `Direct` is neither. An app that is run on it does not know which.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from algorithm.compat.environment import environment
from algorithm.flower.environment import Flower
from proxy.system.locks import locked, shared
from proxy.system.process import Process
from proxy.tests.helpers import runs

APPS = Path(__file__).parent / "apps"
ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-flwr"
COMMAND = str(Path(sys.executable).with_name("flower-v6"))
_CONNECTION = "test"
# Generous: machines that run tests are slow and shared.
PATIENCE_SECONDS = 240.0
# More runs at once are too much for two cores.
_AT_ONCE = 2
_TURNS = ROOT / "build/turns.lock"
# Below those that the kernel gives to whoever connects (`ip_local_port_range`): one that is chosen
# here is still free when a server takes it, some seconds later.
_PORTS = range(20_000, 32_000)


def installed(release: str, packages: Sequence[str] = ()) -> Flower:
    """Return an environment with a release of Flower; it is made if there is none yet.

    `packages`, as pip takes them, are installed into it besides.
    """
    folder = environment(release, ENVIRONMENTS)
    if packages:
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(folder / "bin" / "python")]
        subprocess.run([*pip, "install", *packages], check=True)
    return Flower(folder)


@contextmanager
def alone() -> Iterator[None]:
    """Start dozens of processes while no test is under way that is `beside_others`.

    Flower gives a ClientApp 30 s to start, and then starts it anew, for ever (flwr 1.41,
    `supercore/corestate/sql_corestate.py`, `claim_task`). On two cores a crowd takes longer.
    """
    _TURNS.parent.mkdir(exist_ok=True)
    with locked(_TURNS):
        yield


@contextmanager
def beside_others() -> Iterator[None]:
    """Wait until nobody is `alone`."""
    _TURNS.parent.mkdir(exist_ok=True)
    with shared(_TURNS):
        yield


def wait_until(
    condition: Callable[[], bool],
    what: str,
    timeout: float = PATIENCE_SECONDS,
    interval: float = 0.05,
) -> None:
    """Wait for something that other processes do and nobody announces."""
    give_up = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {timeout:.0f} s in vain until {what}")
        time.sleep(interval)


def run_config(**values: object) -> str:
    """Return key-value pairs as Flower wants them; underscores stand for hyphens."""
    pairs = {key.replace("_", "-"): value for key, value in values.items()}
    return " ".join(
        f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in pairs.items()
    )


@dataclass
class Federation:
    """A SuperLink that has its SuperNodes, and a folder for what runs on it leave behind."""

    flower: Flower
    address: str
    control: str
    folder: Path
    runs: int = field(default=0)

    def submit(self, app: str | Path, **config: object) -> Process:
        """Start running an app, one of the tests' or a folder, with a run config."""
        self.runs += 1
        copy = self.folder / f"run-{self.runs}" / Path(app).name
        shutil.copytree(APPS / app, copy)
        home = copy.parent / "flwr"
        home.mkdir()
        self.flower.name_superlink(_CONNECTION, self.control, home, copy)
        run = self.flower.command(
            *("flwr", "run", str(copy), _CONNECTION, "--stream"),
            *("--run-config", run_config(**config)),
        )
        return Process(
            # Until 1.18 the FAB is made where one is, so each run needs a place of its own.
            ["env", "--chdir", str(copy.parent), *run],
            self.flower.environment(home),
            copy.parent / "run.log",
        )


@dataclass
class Direct:
    """Runs apps in direct mode, each on two stations of its own.

    Attributes
    ----------
    options : tuple[str, ...]
        Further ones of `flower-v6 run`.
    environment : Mapping[str, str]
        Further variables for it.
    """

    flower: Flower
    folder: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    runs: int = field(default=0)

    def submit(self, app: str | Path, **config: object) -> Process:
        """Start running an app, one of the tests' or a folder, with a run config."""
        self.runs += 1
        return start(
            *("run", str(APPS / app), "--mode", "direct", *self.options),
            *("--flower-env", str(self.flower.folder), "--run-config", run_config(**config)),
            log=self.folder / f"run-{self.runs}.log",
            environment=self.environment,
        )


def run_on(
    federations: Sequence[Federation | Direct], app: str, suffix: str, **config: object
) -> list[Path]:
    """Run an app on several federations, two at once; returns what it wrote on each."""
    results = [
        federation.folder / f"{app}-{federation.runs + 1}{suffix}" for federation in federations
    ]

    def run(federation: Federation | Direct, result: Path) -> None:
        submission = federation.submit(app, result=result, **config)
        finish(submission)
        assert result.exists(), submission.log_tail(40)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(run, federations, results))
    return results


def finish(process: Process, timeout: float = 2 * PATIENCE_SECONDS) -> None:
    """Wait until a process has ended by itself."""
    ended = process.wait(timeout)
    process.stop()
    assert ended, f"it did not end by itself:\n{process.log_tail(40)}"


@contextmanager
def superlink(flower: Flower, folder: Path) -> Iterator[Federation]:
    """A SuperLink without SuperNodes."""
    home = folder / "flwr"
    home.mkdir(parents=True)
    started = flower.start_superlink(home, folder / "superlink.log")
    try:
        wait_until(
            lambda: listens(started.fleet) and listens(started.control),
            "the SuperLink listens",
        )
        assert started.process.running, started.process.log_tail()
        yield Federation(flower, started.fleet, started.control, folder)
    finally:
        started.process.stop()


def listens(address: str, prefix: Sequence[str] = ()) -> bool:
    """Return whether anybody listens at an address; `prefix` begins a command that sees it."""
    host, _, port = address.rpartition(":")
    if prefix:
        look = f"import socket; socket.create_connection(({host!r}, {port}), 5)"
        command = [*prefix, sys.executable, "-c", look]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at, on any address of this machine."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"{count} ports of {_PORTS} are not free")


def free_port() -> int:
    """Return a port that nobody listens at."""
    return free_ports(1)[0]


@contextmanager
def native_federation(
    flower: Flower, folder: Path, node_configs: Sequence[str] = ("", "")
) -> Iterator[Federation]:
    """Flower alone: SuperNodes as a user would start them, one for each node config."""
    with ExitStack() as stack:
        federation = stack.enter_context(superlink(flower, folder))
        for index, config in enumerate(node_configs):
            supernode = flower.start_supernode(
                federation.address,
                f"partition-id={index} num-partitions={len(node_configs)} {config}",
                folder / f"flwr-{index}",
                folder / f"supernode-{index}.log",
            )
            stack.callback(supernode.stop)
        yield federation


@contextmanager
def attached_federation(
    flower: Flower, folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Federation]:
    """The bridge: `flower-v6 attach` beside a SuperLink, with two stations by default."""
    with (
        superlink(flower, folder) as federation,
        attached(federation, *options, environment=environment),
    ):
        yield federation


@contextmanager
def attached(
    federation: Federation, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Stations of the bridge at a SuperLink that is there already."""
    attached = start(
        *("attach", "--superlink", federation.address, *options),
        log=federation.folder / f"attach-{uuid.uuid4().hex}.log",
        environment=environment,
    )
    try:
        wait_until(
            lambda: "stop with Ctrl-C" in attached.log.read_text() or not attached.running,
            "the stations are attached",
        )
        assert attached.running, attached.log_tail()
        yield
    finally:
        attached.stop()


def start(*arguments: str, log: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start the command flower-v6."""
    return Process([COMMAND, *arguments], {**os.environ, **(environment or {})}, log, grace=20.0)


def flower_v6(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command flower-v6 to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )


def run_report(output: Path) -> dict[str, Any]:
    """Return what `flower-v6 run --output` left."""
    report: dict[str, Any] = json.loads((output / "run.json").read_text())
    return report


def descendants(pid: int) -> set[int]:
    """Return the ids of all processes below one."""
    try:
        return {process.pid for process in psutil.Process(pid).children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def with_command_line(pids: set[int], part: str) -> list[int]:
    """Return the processes whose command line holds a part, but not those that keep them.

    Nor their children: one that has yet to become another program has its parent's command line.
    """
    lines = {pid: command_line(pid) for pid in pids}
    found = {pid for pid, line in lines.items() if part in line and "keeper" not in line}
    return [pid for pid in found if _parent(pid) not in found]


def ancestor(pid: int, program: str) -> int:
    """Return the nearest process above one that runs a program."""
    while program not in command_line(pid):
        pid = _parent(pid)
        assert pid, f"no {program} above it"
    return pid


def alive(pids: set[int]) -> set[int]:
    """Return which processes still run."""
    return {pid for pid in pids if runs(pid)}


def started(pid: int) -> int:
    """Return when a process was started, in seconds since the epoch; 0 for no process.

    Two processes may see it some seconds apart, if the clock was set meanwhile.
    """
    try:
        return int(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0


def command_line(pid: int) -> str:
    """Return a process's command line; nothing if it has ended meanwhile."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _parent(pid: int) -> int:
    """Return a process's parent; 0 if it has ended meanwhile."""
    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return 0
