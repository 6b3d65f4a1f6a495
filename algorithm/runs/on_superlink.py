"""One run on a SuperLink of our own, as `flwr run` starts it."""

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithm.flower.app import build, copy_app
from algorithm.flower.environment import Flower, SuperLink
from algorithm.flower.node_config import run_config
from algorithm.flower.programs import SERVERAPP, SuperExec
from algorithm.monitoring.outcome import Outcome
from algorithm.runs.attach import Attached
from algorithm.runs.recording import NO_RECORDING, Recording
from algorithm.runs.resuming import begin, stations_folder
from algorithm.runs.run import Run, follow
from proxy.errors import AppError, FleetError, FlowerError
from proxy.journal.journal import Journal
from proxy.system.guard import is_ours
from proxy.system.process import Process

_SUPERLINK_START_SECONDS = 180.0
# A SuperLink that cannot have its ports says so only after its imports.
_SUPERLINK_FAILS_SECONDS = 60.0
_LOOK_SECONDS = 0.1
# What `flwr ls` writes where there are no details (flwr 1.41, cli/run_utils.py).
_NO_DETAILS = "N/A"
# The name under which the app's runs find our SuperLink in the private Flower home.
_CONNECTION = "bridge"


@dataclass
class SuperLinkRun(Run):
    """A run on a SuperLink of its own, with the stations as SuperNodes through the bridge.

    Attributes
    ----------
    run_config : Sequence[str]
        Arguments of `flwr run --run-config`.
    recording : Recording
        Of what SuperLink and SuperNodes say to each other.
    journal : Journal | None
        Where a run that was killed is gone on from.
    """

    run_config: Sequence[str]
    recording: Recording = NO_RECORDING
    journal: Journal | None = None
    _copy: Path = field(init=False)
    _superlink: SuperLink = field(init=False)
    _superexec: SuperExec = field(init=False)

    @property
    def _home(self) -> Path:
        return self.folder / "flwr"

    def start(self) -> None:
        """Start the SuperLink, and attach the stations."""
        self._home.mkdir()
        self._copy = copy_app(self.app, self.folder, self.flower, self.left_out).folder
        if self.journal is not None:
            config = run_config(self.run_config)  # a file may have changed
            begin(self, self.journal, build(self._copy, self.flower), config, {})
        self.screen.status("flower-v6 | starting a SuperLink")
        superlink = self.flower.start_superlink(self._home, self.folder / "superlink.log")
        self.closing.callback(superlink.process.stop)
        self._superlink = superlink
        self._superexec = SuperExec(superlink.process.pid, SERVERAPP)
        self.flower.name_superlink(_CONNECTION, superlink.control, self._home, self._copy)
        _await_superlink(superlink)
        try:
            self.attach(self.closing.enter_context(self.recording.between(superlink.fleet)))
        except FleetError:
            # Whoever answered there was not ours, if ours could not have the port.
            if superlink.process.wait(_SUPERLINK_FAILS_SECONDS):
                raise _superlink_ended(superlink.process) from None
            raise

    def attach(self, superlink: str) -> None:
        """Make the stations SuperNodes, until the run is closed.

        Parameters
        ----------
        superlink : str
            The address (HOST:PORT) of the SuperLink's Fleet API.
        """
        attached = Attached(
            self.stations,
            superlink,
            stations_folder(self.folder, self.journal),
            self.progress,
            self.feed,
            journal=self.journal,
        )
        self.closing.callback(attached.close)
        self.progress.carrier = attached.carrier

    def run(self) -> None:
        """Submit the app, and wait until it has ended."""
        self.screen.status("flower-v6 | submitting the app")
        options = [part for pairs in self.run_config for part in ("--run-config", pairs)]
        submission = Process(
            self.flower.command("flwr", "run", str(self._copy), _CONNECTION, "--stream", *options),
            self.flower.environment(self._home),
            self.folder / "serverapp.log",
        )
        try:
            follow(submission, self.screen, self._check_superlink)
        finally:
            submission.stop()
        runs = _list_runs(self.flower, self._home, self._copy)
        again = "" if self.journal is None else "Call the command again, and the run goes on.\n  "
        _judge(submission, runs, self.outcome, again)

    def _check_superlink(self) -> None:
        if not self._superlink.process.running:
            raise _superlink_ended(self._superlink.process)
        if self._superexec.is_missed():
            raise FlowerError(
                "The SuperLink's SuperExec ended: nothing starts the ServerApp.",
                "Run the app again.",
            )
        if self.journal is not None:
            self.journal.check()


def _await_superlink(superlink: SuperLink) -> None:
    """Wait until the SuperLink listens.

    Raises
    ------
    FlowerError
        If it ends, takes too long, or another user has taken its port meanwhile.
    """
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
    listener = (host, int(port))
    try:
        socket.create_connection(listener, timeout=1.0).close()
    except OSError:
        return False
    if not is_ours(listener):
        raise FlowerError(
            f"Another user of this machine listens at {address}, where the SuperLink was to be.",
            "Try again: the SuperLink will have other ports.",
        )
    return True


def _superlink_ended(superlink: Process) -> FlowerError:
    return FlowerError(
        f"The SuperLink ended with exit code {superlink.exit_code}.\n{superlink.log_tail()}"
    )


def _list_runs(flower: Flower, home: Path, app: Path) -> list[dict[str, Any]]:
    """Return what `flwr ls` says of all runs of our SuperLink: one, or none."""
    listing = subprocess.run(
        flower.list_runs(_CONNECTION, app),
        env=dict(flower.environment(home)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:
        runs: list[dict[str, Any]] = json.loads(listing.stdout)["runs"]
    except (ValueError, KeyError, TypeError) as error:
        raise FlowerError(
            f"`flwr ls` did not report how the run ended: {listing.stdout}{listing.stderr}"
        ) from error
    return runs


def _judge(submission: Process, runs: list[dict[str, Any]], outcome: Outcome, again: str) -> None:
    """Raise unless Flower says that the run completed.

    Parameters
    ----------
    submission : Process
        `flwr run`, which has ended.
    runs : list[dict[str, Any]]
        What `flwr ls` says.
    outcome : Outcome
        Receives the Flower run's id, and the end of the log if it failed.
    again : str
        What helps if only `flwr run` ended; empty if nothing does.

    Raises
    ------
    AppError
        See above.
    """
    outcome.log = submission.log_tail(30)
    log = f"The end of its log:\n{outcome.log}"
    if not runs:
        raise AppError("Flower did not accept the app.", log)
    outcome.flower_run, status = str(runs[0]["run-id"]), str(runs[0]["status"])
    if not status.startswith("finished"):
        raise AppError(
            f"`flwr run` ended with exit code {submission.exit_code}, but Flower still calls the"
            f" run '{status}'.",
            f"{again}{log}",
        )
    if status != "finished:completed":
        details = runs[0].get("status-details", _NO_DETAILS)
        if details in ("", _NO_DETAILS):
            details = f"Flower says: {status}"
        raise AppError(f"The run failed: {details}", log)
    outcome.log = ""
