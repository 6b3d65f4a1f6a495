"""One Flower app, from start to end: SuperLink, stations, submission, outcome."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from algorithm.app import copy_app
from algorithm.flower import Flower, SuperLink
from algorithm.screen import Progress, Screen
from proxy import __version__
from proxy.errors import AppError, BridgeError, FleetError, FlowerError
from proxy.process import Process
from proxy.report import MessageRecord, Observer

_SUPERLINK_START_SECONDS = 60.0
# A SuperLink that cannot have its ports says so only after its imports.
_SUPERLINK_FAILS_SECONDS = 60.0
_LOOK_SECONDS = 0.1
# The name under which the app's runs find our SuperLink in the private Flower home.
_CONNECTION = "bridge"
# Folders that mean nothing to the reader of a log's name.
_LAYOUT = frozenset({"stations", "job"})


@dataclass
class Outcome:
    """How a run ended; this is `run.json`.

    Attributes
    ----------
    status : str
        "completed", "failed" or "cancelled".
    cause : str
        Why, unless it is completed.
    log : str
        The end of the log that shows it.
    """

    app: str
    flower_release: str
    supernodes: str
    stations: list[str]
    bridge_release: str = __version__
    status: str = "failed"
    cause: str = ""
    log: str = ""
    flower_run: str = ""
    seconds: float = 0.0
    messages: list[MessageRecord] = field(default_factory=list)


class Joined(Protocol):
    """SuperNodes of a SuperLink."""

    def close(self) -> None:
        """End them."""
        ...


# Makes stations SuperNodes of the SuperLink with its Fleet API at an address (HOST:PORT), with a
# folder for what they write and an observer who hears of every message.
Join: TypeAlias = Callable[[str, Path, Observer], Joined]


def run_app(
    app: Path,
    run_config: Sequence[str],
    flower: Flower,
    join: Join,
    folder: Path,
    screen: Screen,
    outcome: Outcome,
) -> None:
    """Run a Flower app on stations; `outcome` is filled in, also when this raises.

    Parameters
    ----------
    app : Path
        The app's folder. It is not touched: Flower gets a copy.
    run_config : Sequence[str]
        Arguments of `flwr run --run-config`.
    flower : Flower
        The environment of the SuperLink and the ServerApp.
    join : Join
        Makes the stations SuperNodes: through the bridge (`Attached`), or without it.
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
        app = copy_app(app, folder / "app")
        _run(app, run_config, flower, join, folder, progress, screen, outcome)
        outcome.status = "completed"
    except BridgeError as error:
        outcome.cause = error.message
        raise
    finally:
        outcome.seconds = time.monotonic() - started
        if not outcome.flower_run and outcome.messages:
            outcome.flower_run = outcome.messages[0].flower_run


def _run(
    app: Path,
    run_config: Sequence[str],
    flower: Flower,
    join: Join,
    folder: Path,
    progress: Progress,
    screen: Screen,
    outcome: Outcome,
) -> None:
    home = folder / "flwr"
    home.mkdir()
    screen.status("flower-v6 | starting a SuperLink")
    superlink = flower.start_superlink(home, folder / "superlink.log")
    flower.name_superlink(_CONNECTION, superlink.control, home, app)
    attached = None
    try:
        _await_superlink(superlink)
        attached = _attach(join, superlink, folder / "stations", progress)
        screen.status("flower-v6 | submitting the app")
        options = [part for each in run_config for part in ("--run-config", each)]
        submission = Process(
            flower.command("flwr", "run", str(app), _CONNECTION, "--stream", *options),
            flower.environment(home),
            folder / "serverapp.log",
        )
        try:
            _follow(submission, superlink.process, screen)
        finally:
            submission.stop()
        _judge(submission, _list_runs(flower, home, app), outcome)
    finally:
        screen.status("")
        if attached is not None:
            attached.close()
        superlink.process.stop()


def _await_superlink(superlink: SuperLink) -> None:
    """Wait until the SuperLink listens."""
    give_up = time.monotonic() + _SUPERLINK_START_SECONDS
    while not superlink.process.wait(_LOOK_SECONDS):
        if all(map(_listens, (superlink.fleet, superlink.control))):
            return
        if time.monotonic() > give_up:
            raise FlowerError(
                f"The SuperLink did not answer within {_SUPERLINK_START_SECONDS:.0f} s.\n"
                f"{superlink.process.log_tail()}"
            )
    raise _superlink_ended(superlink.process)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


def _attach(join: Join, superlink: SuperLink, folder: Path, progress: Progress) -> Joined:
    """Attach the stations to our SuperLink."""
    try:
        return join(superlink.fleet, folder, progress)
    except FleetError:
        # Whoever answered there was not ours, if ours could not have the port.
        if superlink.process.wait(_SUPERLINK_FAILS_SECONDS):
            raise _superlink_ended(superlink.process) from None
        raise


def _superlink_ended(superlink: Process) -> FlowerError:
    return FlowerError(
        f"The SuperLink ended with exit code {superlink.exit_code}.\n{superlink.log_tail()}"
    )


def _follow(submission: Process, superlink: Process, screen: Screen) -> None:
    """Show the ServerApp's log until the run has ended."""
    with submission.log.open(errors="replace") as log:
        ended = False
        while not ended:
            ended = submission.wait(_LOOK_SECONDS)
            if not ended and not superlink.running:
                raise _superlink_ended(superlink)
            while line := log.readline():
                screen.line(line.rstrip("\n"))


def _list_runs(flower: Flower, home: Path, app: Path) -> list[dict[str, Any]]:
    """Return what `flwr ls` says of all runs of our SuperLink: one, or none."""
    listing = subprocess.run(
        flower.list_runs(_CONNECTION, app),
        env=dict(flower.environment(home)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        runs: list[dict[str, Any]] = json.loads(listing.stdout)["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise FlowerError(
            f"`flwr ls` did not say how the run ended: {listing.stdout}{listing.stderr}"
        ) from error
    return runs


def _judge(submission: Process, runs: list[dict[str, Any]], outcome: Outcome) -> None:
    """Raise unless Flower says that the run completed."""
    outcome.log = submission.log_tail(30)
    if not runs:
        raise AppError(f"Flower did not accept the app.\n{outcome.log}")
    outcome.flower_run = str(runs[0]["run-id"])
    if runs[0]["status"] != "finished:completed":
        details = runs[0].get("status-details") or f"Flower says: {runs[0]['status']}"
        raise AppError(f"The run failed: {details}", f"The end of its log:\n{outcome.log}")
    outcome.log = ""


def write_outcome(outcome: Outcome, output: Path, folder: Path) -> None:
    """Leave `run.json`, and the logs in the run's folder, in the output folder.

    Raises
    ------
    AppError
        If that cannot be written.
    """
    try:
        (output / "run.json").write_text(json.dumps(asdict(outcome), indent=2) + "\n")
        for log in folder.rglob("*.log"):
            parts = [part for part in log.relative_to(folder).parts if part not in _LAYOUT]
            shutil.copyfile(log, output / "-".join(parts))
    except OSError as error:
        raise AppError(f"{output} cannot be written: {error.strerror}.") from error
