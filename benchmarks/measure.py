"""Measuring: one app on one federation at a time, and nothing else of ours on the machine.

The app is `large` of the integration tests, train only. Its ServerApp measures the steps; the
bridge's own report (`run.json`) tells of each message. Memory is measured in a run of its own:
`flower-v6 attach` has proxies that are seen idle before an app is submitted.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import psutil

from algorithm.flower.environment import Flower
from benchmarks.memory import Memory, Watch
from integration_tests.harness import (
    APPS,
    COMMAND,
    attached_federation,
    descendants,
    finish,
    native_federation,
    run_config,
    run_on,
    run_report,
    start,
    wait_until,
)

STATIONS = 2
NATIVE, WARM, PER_ROUND = "native", "warm", "per-round"
DIRECT, DIRECT_PER_ROUND = "direct warm", "direct per-round"
MODES = (NATIVE, WARM, PER_ROUND, DIRECT, DIRECT_PER_ROUND)

_APP = "large"
_KILO = 1000
# How often a SuperNode's SuperExec looks for a message: the bridge starts its SuperNodes with a
# shorter time than Flower's default (`algorithm.flower.environment`), native ones
# are to have the default.
_POLL_VARIABLE = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
_FLOWER_POLL_SECONDS = "1.0"
# What the first round leaves behind counts in the second; further rounds take no more.
_MEMORY_ROUNDS = 2
# Between the last SuperNode's start and the moment that counts as idle.
_SETTLE_SECONDS = 3.0
# How the proxies were started: what follows the interpreter in their command lines.
_CENTRAL_PROXY = (COMMAND, "attach")
_CLIENT_PROXY = ("-E", "-P", "-m", "algorithm")


@dataclass(frozen=True)
class Size:
    """A model's size, and how often it is trained.

    Attributes
    ----------
    kilobytes : int
        Bytes of its weights, in thousands.
    rounds : int
        How many; the first is left out of all means, because that is when things start.
    arrays : int
        Into how many arrays the weights are cut.
    modes : tuple[str, ...]
        In which modes it is measured.
    """

    kilobytes: int
    rounds: int
    arrays: int = 1
    modes: tuple[str, ...] = MODES

    def __str__(self) -> str:
        """Return the size with its unit."""
        if self.arrays > 1:
            return f"{self.arrays} arrays"
        megabytes, rest = divmod(self.kilobytes, _KILO)
        return f"{self.kilobytes} kB" if rest else f"{megabytes} MB"


@dataclass(frozen=True)
class Measurement:
    """What was measured for one size in one mode.

    Attributes
    ----------
    size : Size
        The model's.
    mode : str
        One of `MODES`.
    models : list[str]
        The hash of the model after each round.
    step_seconds : list[float]
        What each round took the ServerApp.
    messages : list[dict[str, Any]]
        The bridge's record of each message (`proxy.central.report.MessageRecord`), in order of
        replies.
    memory : list[Memory]
        Of each proxy, with warm SuperNodes.
    """

    size: Size
    mode: str
    models: list[str]
    step_seconds: list[float]
    messages: list[dict[str, Any]] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)

    @property
    def step(self) -> float:
        """Seconds per step, after the first."""
        return mean(self.step_seconds[1:])

    @property
    def own_seconds(self) -> list[float]:
        """The bridge's own part of each message after its station's first, in seconds.

        That is all but the stage `clientapp`, which ends when the SuperNode, or in direct mode
        the ClientApp's process, brings the reply.
        """
        seen: set[str] = set()
        own = []
        for message in self.messages:
            if message["station"] in seen:
                seconds = message["seconds"]
                own.append(sum(seconds.values()) - seconds["clientapp"])
            seen.add(message["station"])
        return own

    @property
    def bytes_over_objects(self) -> float:
        """Bytes in bundles, in both directions and without the app itself, over object bytes."""
        moved = self._sum("bytes_out") + self._sum("bytes_back") - self._sum("fab_bytes")
        return moved / (self._sum("object_bytes_out") + self._sum("object_bytes_back"))

    @property
    def fabs_sent(self) -> list[int]:
        """How often the app itself was sent, by station."""
        sent = Counter({message["station"]: 0 for message in self.messages})
        sent.update(message["station"] for message in self.messages if message["fab_bytes"])
        return list(sent.values())

    def _sum(self, name: str) -> int:
        return sum(message[name] for message in self.messages)


def measure(
    flower: Flower, size: Size, mode: str, folder: Path, options: Sequence[str] = ()
) -> Measurement:
    """Measure one size in one mode.

    Parameters
    ----------
    flower : Flower
        The Flower environment.
    size : Size
        The model's.
    mode : str
        One of `MODES`.
    folder : Path
        An existing, empty folder.
    options : Sequence[str]
        Further ones of `flower-v6 run`, where that is used.

    Raises
    ------
    RuntimeError
        If the run failed, or a station answered with an error: there is nothing to compare then.
    """
    messages: list[dict[str, Any]] = []
    memory: list[Memory] = []
    if mode == NATIVE:
        os.environ[_POLL_VARIABLE] = _FLOWER_POLL_SECONDS
        with native_federation(flower, folder / NATIVE, [""] * STATIONS) as federation:
            [result] = run_on([federation], _APP, ".json", **_config(size, size.rounds))
    else:
        os.environ.pop(_POLL_VARIABLE, None)
        result = folder / "result.json"
        messages = _run(size, mode, result, folder, options)
        if mode == WARM and size.arrays == 1:
            memory = _measure_memory(flower, size, folder / "attached")
    answer = json.loads(result.read_text())
    return Measurement(size, mode, answer["sha256"], answer["seconds"], messages, memory)


def _run(
    size: Size, mode: str, result: Path, folder: Path, options: Sequence[str]
) -> list[dict[str, Any]]:
    """Run the app by `flower-v6 run`; returns its report of the messages."""
    output = folder / "output"
    command = start(
        *("run", str(APPS / _APP), "--stations", str(STATIONS)),
        *("--mode", "direct" if mode in (DIRECT, DIRECT_PER_ROUND) else "bridge"),
        *("--supernodes", "warm" if mode in (WARM, DIRECT) else "per-round"),
        *("--output", str(output)),
        *options,
        *("--run-config", run_config(result=result, **_config(size, size.rounds))),
        log=folder / "run.log",
    )
    finish(command)
    if command.exit_code:
        raise RuntimeError(f"flower-v6 run failed:\n{command.log_tail(40)}")
    messages: list[dict[str, Any]] = run_report(output)["messages"]
    for message in messages:
        if message["error"]:
            raise RuntimeError(f"{message['station']} answered with an error: {message['error']}")
    return messages


def _measure_memory(flower: Flower, size: Size, folder: Path) -> list[Memory]:
    """Run the app on stations that `flower-v6 attach` made SuperNodes of a SuperLink."""
    with attached_federation(flower, folder, "--stations", str(STATIONS)) as federation:
        # Each SuperNode starts its SuperExec when it has registered; the SuperLink has one, too.
        superexec = flower.command("flower-superexec")
        wait_until(lambda: len(_running(superexec)) == 1 + STATIONS, "the SuperNodes are up")
        time.sleep(_SETTLE_SECONDS)
        watches = [Watch("central", pid) for pid in _running(_CENTRAL_PROXY)]
        watches += [Watch("client", pid) for pid in _running(_CLIENT_PROXY)]
        if len(watches) != 1 + STATIONS:
            raise RuntimeError(f"There are {len(watches)} proxies, not {1 + STATIONS}.")
        run_on([federation], _APP, ".json", **_config(size, _MEMORY_ROUNDS))
        return [watch.memory() for watch in watches]


def _config(size: Size, rounds: int) -> dict[str, Any]:
    return {
        "kilobytes": size.kilobytes,
        "num_arrays": size.arrays,
        "num_server_rounds": rounds,
        "num_stations": STATIONS,
        "evaluate": False,
    }


def _running(command: Sequence[str]) -> list[int]:
    """Return which processes below this one an interpreter runs with these first arguments."""
    found = []
    for pid in sorted(descendants(os.getpid())):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it has just ended
            if psutil.Process(pid).cmdline()[1 : 1 + len(command)] == list(command):
                found.append(pid)
    return found
