"""Steps over each lane, in direct mode, beside native Flower and the direct mode without a lane.

    python -m benchmarks.lanes

The app is `large`, on two resident stations; servers are on this machine. Models must be the same.
Beside each lane's name is what its stations' processes took of memory over what they had idle, and
what was left on the lane.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from algorithm.flower.environment import Flower
from algorithm.tests.resident import Residents
from benchmarks.measure import DIRECT, NATIVE, STATIONS, Size, measure
from benchmarks.memory import Watch
from integration_tests.harness import (
    APPS,
    descendants,
    finish,
    free_port,
    run_config,
    start,
    wait_until,
    with_command_line,
)
from integration_tests.lanes import environment, kafka_broker, ssh_server

_NAMES = ("north", "south")
_SIZES = (Size(kilobytes=1, rounds=50), Size(kilobytes=100_000, rounds=3))
_NATIVE_ROUNDS = {1: 8, 100_000: 2}


@dataclass(frozen=True)
class _Lane:
    """A lane, and how many letters lie on it."""

    name: str
    url: str
    left: Callable[[], int]
    variables: dict[str, str]


def main() -> int:
    """Measure, and print a table."""
    flower = Flower(Path(sys.executable).parent.parent)
    print(f"flwr {flower.release}, load {os.getloadavg()[0]:.1f}", flush=True)
    for size in _SIZES:
        models: list[str] = []
        for mode in (NATIVE, DIRECT):
            rounds = _NATIVE_ROUNDS[size.kilobytes] if mode == NATIVE else size.rounds
            with TemporaryDirectory() as folder:
                measured = measure(flower, Size(size.kilobytes, rounds), mode, Path(folder))
            _print(size, mode, mean(measured.step_seconds[1:]))
            models = measured.models
        with TemporaryDirectory() as folder, _lanes(Path(folder)) as lanes:
            for lane in lanes:
                _measure(flower, size, lane, Path(folder, f"at-{lane.name}"), models)
    return 0


def _measure(flower: Flower, size: Size, lane: _Lane, folder: Path, models: list[str]) -> None:
    folder.mkdir()
    residents = Residents(folder, lane.url, _NAMES, flower.folder)
    with residents.running(environment(**lane.variables)) as stations:
        watches = [
            Watch(name, pid)
            for name, station in stations.items()
            for pid in with_command_line(descendants(station._popen.pid), "algorithm.cli")
        ]
        run = start(
            *("run", str(APPS / "large"), "--mode", "direct", *residents.options),
            "--run-config",
            run_config(
                result=folder / "result.json",
                kilobytes=size.kilobytes,
                num_server_rounds=size.rounds,
                num_stations=STATIONS,
                evaluate=False,
            ),
            log=folder / "run.log",
            environment=lane.variables,
        )
        finish(run, 1800.0)
        answer = json.loads((folder / "result.json").read_text())
        if answer["sha256"] != models:
            raise RuntimeError(f"{lane.name}: the models are not those of the direct mode.")
        wait_until(lambda: lane.left() == 0, "nothing is left on the lane")
        over = max(watch.memory().over_idle_mib for watch in watches)
        _print(size, lane.name, mean(answer["seconds"][1:]), f"; {over:.0f} MiB over idle")


def _print(size: Size, name: str, seconds: float, more: str = "") -> None:
    print(f"{size}, {name}: {seconds:.3f} s per step{more}", flush=True)


@contextmanager
def _lanes(folder: Path) -> Iterator[list[_Lane]]:
    share = folder / "share"
    share.mkdir()
    with ssh_server(folder / "sshd") as sshd, kafka_broker(folder / "kafka") as broker:
        kafka = broker.lane(*_NAMES)
        yield [
            _Lane("folder", f"folder:{share}", lambda: _files(share), {}),
            _Lane(
                "sftp",
                f"folder:{sshd.url}",
                lambda: _files(sshd.folder / "share"),
                {"HOME": str(sshd.home)},
            ),
            _Lane("kafka", kafka, lambda: broker.records(kafka, *_NAMES), {}),
            # Letters lie at the central, and end with it.
            _Lane("https", f"https://127.0.0.1:{free_port()}", lambda: 0, {}),
        ]


def _files(folder: Path) -> int:
    return len([path for path in folder.rglob("*") if path.is_file()])


if __name__ == "__main__":
    sys.exit(main())
