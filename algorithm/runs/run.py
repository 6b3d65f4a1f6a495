"""One run of a Flower app, from start to outcome, with a SuperLink or without."""

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from algorithm.flower.environment import Flower
from algorithm.monitoring.feed import Feed
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Progress, Screen
from algorithm.runs.stations import Stations
from proxy.errors import AppError, BridgeError
from proxy.system import durable
from proxy.system.process import Process

_LOOK_SECONDS = 0.1
# Folders that mean nothing to the reader of a log's name.
_LAYOUT = frozenset({"stations", "job"})
# Flower's home, and the copy of the app, which may have logs of its own.
_OF_APPS = frozenset({"flwr", "app"})
_STATION_AND_LOG = 2


@dataclass
class Run(ABC):
    """One run of an app: it is started, run to its end, and closed in any case.

    Attributes
    ----------
    app : Path
        The app's folder. It is not touched: Flower gets a copy.
    flower : Flower
        The environment of the ServerApp, and of a SuperLink.
    folder : Path
        An existing, empty folder for all that is written.
    screen : Screen
        Shows progress and the ServerApp's log.
    outcome : Outcome
        Receives the Flower run's id, and the end of the log if it failed.
    stations : Stations
        Where the ClientApps run.
    feed : Feed
        Tells what happens to the messages.
    left_out : Sequence[Path]
        Folders that are no part of the app, should they lie in its folder.
    progress : Progress
        Hears of every message.
    closing : ExitStack
        Ends what was started.
    """

    app: Path
    flower: Flower
    folder: Path
    screen: Screen
    outcome: Outcome
    stations: Stations
    feed: Feed = field(kw_only=True, default_factory=Feed)
    left_out: Sequence[Path] = field(kw_only=True, default=())
    progress: Progress = field(init=False)
    closing: ExitStack = field(init=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.progress = Progress(self.screen)

    @abstractmethod
    def start(self) -> None:
        """Start all that the app needs; raises a `BridgeError` if that fails."""

    @abstractmethod
    def run(self) -> None:
        """Run the app to its end; raises a `BridgeError` if it did not complete."""

    def online(self, station: str) -> bool:
        """Whether a station can be reached, as far as is known; none can before the start."""
        carrier = self.progress.carrier
        return carrier is not None and carrier.online(station)

    def close(self) -> None:
        """End all that was started."""
        self.screen.status("")
        self.closing.close()


def run_app(run: Run) -> None:
    """Run a Flower app on stations; the run's outcome is filled in, also when this raises.

    Raises
    ------
    BridgeError
        If the run did not complete.
    """
    started, outcome = time.monotonic(), run.outcome
    outcome.messages = run.progress.records
    try:
        with closing(run):
            try:
                run.start()
                run.run()
            except SystemExit:  # whoever closes the run has to know
                outcome.status, outcome.cause = "cancelled", "The run was told to end."
                raise
        outcome.status, outcome.cause = "completed", ""
    except Exception as error:
        outcome.cause = error.message if isinstance(error, BridgeError) else str(error)
        raise
    finally:
        outcome.seconds = time.monotonic() - started
        if not outcome.flower_run and outcome.messages:
            outcome.flower_run = outcome.messages[0].flower_run


def follow(process: Process, screen: Screen, look: Callable[[], None]) -> None:
    """Show what a process writes until it has ended; `look` is called often, and may raise."""
    with process.log.open(encoding="utf-8", errors="replace") as log:
        ended = False
        while not ended:
            ended = process.wait(_LOOK_SECONDS)
            if not ended:
                look()
            while line := log.readline():
                screen.line(line.rstrip("\n"), colours=True)


def forget_outcome(output: Path) -> None:
    """Remove an earlier run's `run.json`: nobody is to take it for that of a run that is killed.

    Raises
    ------
    AppError
        If it cannot be removed.
    """
    try:
        (output / "run.json").unlink(missing_ok=True)
    except OSError as error:
        raise AppError(f"{output / 'run.json'} cannot be removed: {error.strerror}.") from error


def write_outcome(outcome: Outcome, output: Path, *folders: Path) -> None:
    """Leave `run.json`, and the logs in a run's folders, in the output folder.

    Raises
    ------
    AppError
        If that cannot be written; it says how the run ended.
    """
    try:
        text = outcome.text(indent=2) + "\n"
        durable.write(output / "run.json", text.encode())
        for folder in folders:
            for log in folder.rglob("*.log"):
                path = log.relative_to(folder).parts
                parts = [part for part in path if part not in _LAYOUT]
                # Ours is the run's own, or a station's; what is deeper, Flower's or an app's.
                if log.is_file() and len(parts) <= _STATION_AND_LOG and path[0] not in _OF_APPS:
                    shutil.copyfile(log, output / "-".join(parts))
    except OSError as error:
        ended = f"The run {outcome.status}. {outcome.cause}".rstrip()
        raise AppError(f"{output} cannot be written: {error.strerror}.", ended) from error
