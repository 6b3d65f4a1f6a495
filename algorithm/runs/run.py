"""One Flower app, from start to end, whatever way it is run in."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from algorithm.runs.outcome import Outcome
from algorithm.runs.screen import Progress, Screen
from proxy.errors import AppError, BridgeError
from proxy.system import durable
from proxy.system.process import Process

_LOOK_SECONDS = 0.1
# Folders that mean nothing to the reader of a log's name.
_LAYOUT = frozenset({"stations", "job"})


@dataclass(frozen=True)
class Run:
    """What a way to run an app gets.

    Attributes
    ----------
    app : Path
        The app's folder. It is not touched: Flower gets a copy.
    folder : Path
        For all that is written.
    progress : Progress
        Hears of every message.
    screen : Screen
        Shows the ServerApp's log.
    outcome : Outcome
        Receives the Flower run's id, and the end of the log if it failed.
    """

    app: Path
    folder: Path
    progress: Progress
    screen: Screen
    outcome: Outcome


# Runs an app to its end; raises a `BridgeError` if it did not complete.
Way: TypeAlias = Callable[[Run], None]


def run_app(app: Path, way: Way, folder: Path, screen: Screen, outcome: Outcome) -> None:
    """Run a Flower app on stations; `outcome` is filled in, also when this raises.

    Parameters
    ----------
    app : Path
        The app's folder.
    way : Way
        `algorithm.runs.on_superlink` or `algorithm.runs.direct`.
    folder : Path
        An existing, empty folder that is removed afterwards.
    screen : Screen
        Shows progress and the ServerApp's log.
    outcome : Outcome
        Receives what happened.

    Raises
    ------
    BridgeError
        If the run did not complete.
    """
    started = time.monotonic()
    progress = Progress(screen)
    outcome.messages = progress.records
    try:
        way(Run(app, folder, progress, screen, outcome))
        outcome.status = "completed"
    except Exception as error:
        outcome.cause = error.message if isinstance(error, BridgeError) else str(error)
        raise
    finally:
        screen.status("")
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


def write_outcome(outcome: Outcome, output: Path, folder: Path) -> None:
    """Leave `run.json`, and the logs in the run's folder, in the output folder.

    Raises
    ------
    AppError
        If that cannot be written; it says how the run ended.
    """
    try:
        text = outcome.text(indent=2) + "\n"
        durable.write(output / "run.json", text.encode())
        for log in folder.rglob("*.log"):
            parts = [part for part in log.relative_to(folder).parts if part not in _LAYOUT]
            shutil.copyfile(log, output / "-".join(parts))
    except OSError as error:
        ended = f"The run {outcome.status}. {outcome.cause}".rstrip()
        raise AppError(f"{output} cannot be written: {error.strerror}.", ended) from error
