"""Central function: runs the image's Flower app at the organizations of a collaboration.

It starts a SuperLink in its own container, makes each organization a SuperNode of it, submits the
app, and leaves the outcome (`algorithm.functions.result`). A failed run is a
failed task with an outcome.
"""

import hashlib
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from algorithm.flower.environment import Flower
from algorithm.flower.manifest import ENVIRONMENT_VARIABLE, Manifest
from algorithm.flower.node_config import pairs
from algorithm.flower.provenance import machine, packages_in, run_config_of
from algorithm.functions.arguments import Arguments
from algorithm.functions.result import write_result
from algorithm.monitoring.entries import MARK, Entry
from algorithm.monitoring.feed import Feed, Taker
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.runs.direct import DirectRun
from algorithm.runs.on_superlink import SuperLinkRun
from algorithm.runs.organizations import Organizations
from algorithm.runs.resuming import run_on_journal
from algorithm.runs.run import Run
from proxy import strict_json
from proxy.calls import Mode, job_of
from proxy.carriers.vantage6 import MAX_TEXT_BYTES
from proxy.clock import Deadline
from proxy.errors import AppError, ServerUnreachable, UsageError, Vantage6Error
from proxy.generations import generation_of
from proxy.journal.journal import Journal
from proxy.platforms import Creator
from proxy.system import durable
from proxy.system.locks import locked
from proxy.system.process import Workspace
from proxy.system.retry import retrying
from proxy.vantage6.container import Container
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.payload import Payload
from proxy.vantage6.server import Organization, Server

log = logging.getLogger(__name__)

# The server stores a result as base64.
_MAX_RESULT_BYTES = MAX_TEXT_BYTES // 4 * 3
_LINGER_SECONDS = 3.0
# A machine that starts again may start a central before the node through which it asks.
_NODE_PATIENCE_SECONDS = 300.0
# Whoever asks for a log takes 64 MiB of it (`proxy.vantage6.server`): hosts, to learn that the run
# is over, and `watch`. A station that answers with many metrics fills it fast.
_MOST_ENTRY_BYTES = 32 << 20
_FULL = "flower-v6 | the log has no more events: they would fill it; the run's result has all"


def main(container: Container, task: Payload) -> None:
    """Leave the outcome in the output file.

    `task.fields["kwargs"]` holds what `Arguments` says.

    Raises
    ------
    BridgeError
        If the run did not complete. The outcome is there nevertheless, once the run was begun.
    """
    creator, server, claims = _admitted(container)
    # A run that ends while the server is away is started again by its node, result or not.
    job = _job(creator, claims)
    job_folder = container.job_folder(job)
    durable.make_folder(job_folder)
    identity = _identity(server, claims)
    outcome_file = job_folder / f"central-result-{identity}.json"
    # Its first container may still be at work.
    with locked(job_folder / f"central-{identity}.lock"):
        if (ended := _ended(outcome_file)) is not None:
            log.info("this run ended before; its outcome is here")
            shutil.copyfile(outcome_file, container.output_file)
            if ended.status != "completed":
                raise AppError(ended.cause)
            return
        with closing(Journal(job_folder / f"central-journal-{identity}")) as journal:
            _run(container, task, (creator, server, claims), job, outcome_file, journal)


def _run(
    container: Container,
    task: Payload,
    admitted: tuple[Creator, Server, Mapping[str, Any]],
    job: str | None,
    outcome_file: Path,
    journal: Journal,
) -> None:
    """Run the app, from where the journal has it, and leave the outcome."""
    creator, server, claims = admitted
    if ENVIRONMENT_VARIABLE not in os.environ:
        raise UsageError(
            "This function runs only in an image that holds an app.",
            "Build one with `flower-v6 image`.",
        )
    image = Path(os.environ[ENVIRONMENT_VARIABLE])
    manifest = Manifest.read(image)
    arguments = Arguments.checked(task.fields.get("kwargs") or {}, manifest.run_config_keys)
    flower = Flower.from_environment()
    stations = _stations(creator, server, claims, arguments, flower.release, job)
    outcome = Outcome(
        app=f"{manifest.publisher}/{manifest.name} {manifest.version}",
        flower_release=flower.release,
        supernodes=arguments.supernodes,
        stations=list(stations.names),
        mode=arguments.mode,
        run_config=run_config_of(_app(image.parent), arguments.run_config),
        environment=machine(),
        packages=packages_in(flower.folder),
    )
    stations = replace(
        stations, over=lambda: outcome.status != "cancelled" or _is_ended(server, claims)
    )
    with Workspace() as workspace:
        folder, written = workspace.path / "run", workspace.path / "written"
        folder.mkdir()
        written.mkdir()
        screen = Screen(sys.stdout, plain=True)
        feed = Feed(log_taker(screen, _is_encrypted(stations)))
        shared = (_app(image.parent), flower, folder, screen, outcome, stations)

        def make() -> Run:
            if arguments.mode == Mode.DIRECT:
                return DirectRun(*shared, arguments.run_config, journal, feed=feed)
            config = [pairs(arguments.run_config)] if arguments.run_config else []
            return SuperLinkRun(*shared, config, journal=journal, feed=feed)

        # Where the relative paths of a ServerApp lead.
        os.chdir(written)
        try:
            with feed.about(outcome):
                run_on_journal(make, journal)
        except AppError as error:
            if not outcome.log:
                raise
            # Without its hint, the end of the app's log: that stands in our own log already.
            raise AppError(error.message) from error
        finally:
            # One that was told to end may be started again by its node: then it goes on.
            _leave(
                container, outcome, written, None if outcome.status == "cancelled" else outcome_file
            )
        journal.end(outcome.status)


def _is_ended(server: Server, claims: Mapping[str, Any]) -> bool:
    """Whether the server takes this run for ended: then nobody starts it again."""
    try:
        return server.task_status(claims["task_id"]).ended
    except Vantage6Error as error:
        log.warning("cannot find out whether the server takes the run for ended: %s", error.message)
        return False


def _leave(
    container: Container, outcome: Outcome, written: Path, outcome_file: Path | None
) -> None:
    """Leave the outcome as the result, and where this run finds it if it is over for good."""
    try:
        write_result(container.output_file, outcome, written, _MAX_RESULT_BYTES)
    finally:
        if outcome_file and container.output_file.stat().st_size:  # else it could not be written
            part = outcome_file.with_suffix(".part")
            shutil.copyfile(container.output_file, part)
            durable.publish(part, outcome_file)
        if container.platform.loses_results:
            # A host at this node may have ended just before.
            time.sleep(_LINGER_SECONDS)


def log_taker(screen: Screen, encrypted: bool) -> Taker:
    """Return what writes entries to the log, which is all that `watch` has of a run.

    Parameters
    ----------
    screen : Screen
        Writes the log.
    encrypted : bool
        Whether the collaboration is: its results are for its members, but logs are not encrypted.
        Metrics, and what an error says, are left out then.

    Returns
    -------
    Callable[[Entry], None]
        Says once that the log is full, and then nothing any more.
    """
    writing, room = threading.Lock(), _MOST_ENTRY_BYTES

    def take(entry: Entry) -> None:
        nonlocal room
        text = (replace(entry, metrics={}, error="") if encrypted else entry).text()
        with writing:
            if room > 0:
                room -= len(text)
                screen.result(f"{MARK}{text}" if room > 0 else _FULL)

    return take


def _ended(outcome_file: Path) -> Outcome | None:
    """Return the outcome of this run if it has ended before; a damaged one is none."""
    try:
        return Outcome.checked(strict_json.loads(outcome_file.read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning("%s is damaged, %s: the run begins anew", outcome_file, error)
        return None


def _app(folder: Path) -> Path:
    """Return the app's folder: the only one beside the manifest."""
    return next(path for path in folder.iterdir() if path.is_dir())


def _admitted(container: Container) -> tuple[Creator, Server, Mapping[str, Any]]:
    """Return what the central may do, the server as it sees it, and what its token says."""
    creator = container.platform.central
    if creator is None or not container.token:
        raise UsageError(
            "The central function has no vantage6 token: it runs only in a vantage6 node."
        )
    login = ContainerLogin(container.token)
    server = generation_of(container.platform).server(container.server, login)
    return creator, server, login.claims


def _job(creator: Creator, claims: Mapping[str, Any]) -> str | None:
    """Return the name of the job whose central this is; None where it needs none."""
    # The same when its node starts it again.
    return job_of(claims["task_id"]) if creator.names_job else None


def _identity(server: Server, claims: Mapping[str, Any]) -> str:
    """Return what no other run has: the moment when its task was created.

    When the newest tasks are deleted, their numbers are given again, to jobs at any rate
    (vantage6 4.15, `server/model/task.py`, `next_job_id`). The new job finds the old one's folder.
    """
    deadline = Deadline.after(_NODE_PATIENCE_SECONDS)
    task = retrying(
        lambda: server.get(f"task/{claims['task_id']}"),
        threading.Event(),
        deadline,
        ServerUnreachable,
    )
    with server.understanding():
        return hashlib.sha256(str(task["created_at"]).encode()).hexdigest()[:16]


def _stations(
    creator: Creator,
    server: Server,
    claims: Mapping[str, Any],
    arguments: Arguments,
    release: str,
    job: str | None,
) -> Organizations:
    """Return the organizations that the arguments name."""
    known = server.organizations(claims["collaboration_id"], claims.get("study_id"))
    members = server.members_below(claims, arguments.dataframes)
    return Organizations(
        server,
        chosen(known, arguments.organizations),
        members,
        creator,
        arguments.deadline,
        release,
        arguments.mode,
        arguments.host_idle_limit,
        job,
    )


def _is_encrypted(stations: Organizations) -> bool:
    """Return whether the stations' collaboration is encrypted; its containers may ask."""
    collaboration = stations.server.get(f"collaboration/{stations.members['collaboration_id']}")
    with stations.server.understanding():
        return bool(collaboration["encrypted"])


def chosen(known: Sequence[Organization], wanted: Sequence[int | str]) -> Sequence[Organization]:
    """Return the organizations that are wanted by id or name, in the order of their ids.

    Raises
    ------
    UsageError
        If one is not among the known.
    """
    for id_or_name in wanted:
        if not any(id_or_name in (one.id, one.name) for one in known):
            raise UsageError(
                f"There is no organization {id_or_name!r} in the collaboration.",
                f"There are: {', '.join(f'{one.name} ({one.id})' for one in known)}.",
            )
    return [one for one in known if not wanted or one.id in wanted or one.name in wanted]
