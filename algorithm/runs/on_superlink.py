"""One run on a SuperLink of our own, as `flwr run` starts it."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from algorithm.flower.app import copy_app
from algorithm.flower.environment import Flower, SuperLink
from algorithm.runs.outcome import Outcome
from algorithm.runs.run import Run, Way, follow
from algorithm.runs.screen import Progress
from proxy.central.report import Observer
from proxy.errors import AppError, FleetError, FlowerError
from proxy.system.guard import is_ours
from proxy.system.process import Process

_SUPERLINK_START_SECONDS = 60.0
# A SuperLink that cannot have its ports says so only after its imports.
_SUPERLINK_FAILS_SECONDS = 60.0
_LOOK_SECONDS = 0.1
# The name under which the app's runs find our SuperLink in the private Flower home.
_CONNECTION = "bridge"


class Joined(Protocol):
    """SuperNodes of a SuperLink."""

    def close(self) -> None:
        """End them."""
        ...


# Makes stations SuperNodes of the SuperLink with its Fleet API at an address (HOST:PORT), with a
# folder for what they write and an observer who hears of every message.
Join: TypeAlias = Callable[[str, Path, Observer], Joined]


def on_superlink(run_config: Sequence[str], flower: Flower, join: Join) -> Way:
    """Return the way to run an app on a SuperLink.

    Parameters
    ----------
    run_config : Sequence[str]
        Arguments of `flwr run --run-config`.
    flower : Flower
        The environment of the SuperLink and the ServerApp.
    join : Join
        Makes the stations SuperNodes: through the bridge (`Attached`), or without it.
    """
    return lambda run: _run(run, run_config, flower, join)


def _run(run: Run, run_config: Sequence[str], flower: Flower, join: Join) -> None:
    home = run.folder / "flwr"
    home.mkdir()
    app = copy_app(run.app, run.folder, flower).folder
    run.screen.status("flower-v6 | starting a SuperLink")
    superlink = flower.start_superlink(home, run.folder / "superlink.log")
    flower.name_superlink(_CONNECTION, superlink.control, home, app)
    attached = None
    try:
        _await_superlink(superlink)
        attached = _attach(join, superlink, run.folder / "stations", run.progress)
        run.screen.status("flower-v6 | submitting the app")
        options = [part for each in run_config for part in ("--run-config", each)]
        submission = Process(
            flower.command("flwr", "run", str(app), _CONNECTION, "--stream", *options),
            flower.environment(home),
            run.folder / "serverapp.log",
        )

        def look() -> None:
            if not superlink.process.running:
                raise _superlink_ended(superlink.process)

        try:
            follow(submission, run.screen, look)
        finally:
            submission.stop()
        _judge(submission, _list_runs(flower, home, app), run.outcome)
    finally:
        run.screen.status("")
        if attached is not None:
            attached.close()
        superlink.process.stop()


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
