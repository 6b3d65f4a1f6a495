"""Starts functions as tasks of a vantage6 server: every organization is a station.

One task for one organization and function, because when one run of a task fails, vantage6 fails the
others with it. A task that was created twice trains nobody twice: the station knows the message's
id. Nothing here waits for ever: a run can stay "active" after its node lost it.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from proxy.calls import AskCall, Call, CourierCall, EndCall, HostCall, Mode, PerRoundCall
from proxy.carriers import Ending, Exchange, FunctionFailed
from proxy.carriers.asking import Asking
from proxy.clock import SYSTEM_CLOCK, Deadline
from proxy.errors import Cancelled, CarrierError, NotPermitted, ServerUnreachable, Vantage6Error
from proxy.platforms import Creator
from proxy.system.retry import retrying
from proxy.vantage6 import payload
from proxy.vantage6.server import Organization, Run, Server, TaskStatus

log = logging.getLogger(__name__)

# A result is asked for more rarely the longer a task takes: a twentieth of its age, within bounds;
# and the longer the server takes to answer, for it has the task's node to serve as well.
_POLL_SECONDS = (0.2, 1.0)
_POLL_SHARE = 0.05
_POLL_REST = 2.0
# A task that its node could not even start never ends, but has another status.
_STATUS_SECONDS = 15.0
# A node's proxy hides whether it is the server that is away or the task that is refused.
_CREATE_PATIENCE_SECONDS = 120.0
# Creating a task failed so often while the server answered otherwise: it refuses the task.
_REFUSALS = 5
_NODES_ASKED_EVERY_SECONDS = 5.0
# Heartbeats wait while they are asked for: of a server that does not answer no more is asked.
_NODES_PATIENCE_SECONDS = 10.0
# How long a function that died may be shown as active.
_ENDING_DELAY_SECONDS = 5.0
# How long a station may take to learn that the job is over, and its host to end.
_LEAVE_SECONDS = 20.0
# The server stores inputs and results as base64 of the payload, in a database that nobody can ask
# for. PostgreSQL takes no text of 2^29 bytes or more in one statement. SQLite's rows, which hold
# both input and result of a run, end at 10^9 bytes.
MAX_TEXT_BYTES = 536_000_000
MAX_ROW_BYTES = 950_000_000
# How the names of folders for payloads on their way begin.
_PAYLOADS = "payload-"


def always() -> bool:
    """Say of a job that it is over when its carrier is closed."""
    return True


class Vantage6Starter:
    """Implements `proxy.carriers.Starter` with tasks.

    Parameters
    ----------
    server : Server
        As a user or as a central container sees it.
    organizations : Sequence[Organization]
        The stations.
    members : Mapping[str, Any]
        What all tasks have in common, as vantage6 names it: `image`, `collaboration_id`,
        `databases`, and `study_id` and `store_id` if there are any.
    folder : Path
        An existing folder for payloads on their way.
    creator : Creator
        Who creates the tasks.
    job : str | None
        Names the job where the creator's tasks share no folder: stations keep what must not be
        lost under this name. None where they do.
    over : Callable[[], bool]
        Says at the end, for each station, whether the job is over: stations are told then. It is
        not if a successor goes on with it.
    """

    def __init__(
        self,
        server: Server,
        organizations: Sequence[Organization],
        members: Mapping[str, Any],
        folder: Path,
        creator: Creator,
        job: str | None = None,
        over: Callable[[], bool] = always,
    ) -> None:
        self.creator = creator
        self.job = job
        self._over = over
        self.folder = folder
        self._server = server
        self._organizations = {organization.name: organization for organization in organizations}
        self._members = members
        self._online = dict.fromkeys(self._organizations, True)
        # The last tasks without a bundle: a run that is asked for comes with its input.
        self._small_tasks: dict[str, _Task] = {}
        self._permitted = True
        self._nodes_asked = threading.Lock()
        self._nodes_asked_at = float("-inf")
        for stale in folder.glob(f"{_PAYLOADS}*"):  # by a process that was killed
            shutil.rmtree(stale, ignore_errors=True)

    def online(self, station: str) -> bool:
        """Whether the station's node is online, as the server said a few seconds ago."""
        with self._nodes_asked:
            if time.monotonic() - self._nodes_asked_at > _NODES_ASKED_EVERY_SECONDS:
                try:
                    self._ask_for_nodes()
                    self._permitted = True
                except NotPermitted as error:
                    if self._permitted:
                        log.warning(
                            "cannot find out which nodes are online: %s If the login is over, log"
                            " in again: stop this command, and start it anew.",
                            error.message,
                        )
                    self._permitted = False
                except Vantage6Error as error:
                    log.debug("cannot find out which nodes are online: %s", error)
                self._nodes_asked_at = time.monotonic()
        return self._online[station]

    def _ask_for_nodes(self) -> None:
        if self.creator.sees_nodes:
            nodes = self._server.nodes(self._members["collaboration_id"])
            for name, organization in self._organizations.items():
                self._note(name, nodes.get(organization.id, False), "its node is away")
            return
        give_up = time.monotonic() + _NODES_PATIENCE_SECONDS
        # A run tells of its node, too.
        for name, task in list(self._small_tasks.items()):
            try:
                run = task.run()
            except Vantage6Error as error:  # somebody may have deleted it
                log.debug("cannot find out whether %s is online: %s", name, error)
                if time.monotonic() > give_up:
                    return
                continue
            doing = "has not started" if run.status.name == "pending" else "is away from"
            self._note(name, run.node_online, f"its node {doing} task {task.number}")

    def _note(self, station: str, online: bool, why: str) -> None:
        """Tell once when a station goes offline, and when it is back."""
        if online != self._online[station]:
            self._online[station] = online
            if online:
                log.info("%s is online again", station)
            else:
                log.warning("%s is offline: %s", station, why)

    def room_for_reply(self, station: str, exchange: Exchange) -> int:
        """Return how much the server can store beside a message; see `Starter.room_for_reply`."""
        size, limit = exchange.instruction.stat().st_size, _largest_bundle(MAX_TEXT_BYTES)
        if size > limit:
            raise CarrierError(
                f"{exchange.title} for {station} takes {size} bytes, more than the vantage6 server"
                f" can store: {limit} for a message, and for its reply."
            )
        if not self._server.platform.may_be_on_sqlite:
            return limit
        return min(limit, _largest_bundle(MAX_ROW_BYTES) - size)

    def start(
        self,
        station: str,
        title: str,
        call: Call,
        bundle: Path | None,
        ends_at: float,
        cancelled: threading.Event,
    ) -> "_Task":
        """Create a task at a station."""

        def create() -> int:
            return self._create(station, title, call, bundle, ends_at, cancelled)

        number, asking = create(), None
        if self.creator.loses_results and isinstance(call, CourierCall | PerRoundCall):
            ask = AskCall(call.message_id, call.job, call.max_reply_bytes)
            asking = Asking(
                self._server,
                lambda: self._create(station, title, ask, None, ends_at, cancelled),
                create,
                bundle.stat().st_size if bundle else 0,
            )
        task = _Task(self, self._server, number, station, asking)
        if bundle is None:
            self._small_tasks[station] = task
        return task

    def find(self, station: str, task: str) -> "_Task | None":
        """Return the task with a number; None where its result may be lost: it is asked anew."""
        if self.creator.loses_results or not task.isdecimal():
            return None
        return _Task(self, self._server, int(task), station)

    def leave(self, station: str) -> None:
        """Have a task tell the station that the job is over, where a host cannot ask for that."""
        if not self.creator.tells_end or not self._over():
            return
        host = self._small_tasks.get(station)
        ends_at = time.monotonic() + _LEAVE_SECONDS
        try:
            end = EndCall(self.job)
            task = self.start(station, "end", end, None, ends_at, threading.Event())
            (host or task).await_end(ends_at)
        except CarrierError as error:
            log.warning("%s may not know that the run has ended: %s", station, error)

    def _create(
        self,
        station: str,
        title: str,
        call: Call,
        bundle: Path | None,
        ends_at: float,
        cancelled: threading.Event,
    ) -> int:
        """Create a task; returns its number."""
        members = {
            **self._members,
            "name": f"{title}: {station}",
            "description": f"{_about(call)} at {station}",
        }
        organization, refusals = self._organizations[station], 0
        if isinstance(call, AskCall):
            # Of the same step, so that nobody takes the message for one that is done with.
            members["name"] += " (again)"
        with TemporaryDirectory(prefix=_PAYLOADS, dir=self.folder) as folder:
            path = Path(folder, "payload")
            task = call.task()
            arguments = self._server.arguments(call.method, task["kwargs"])
            payload.write(path, arguments, bundle)

            def create() -> int:
                nonlocal refusals
                try:
                    seconds = ends_at - time.monotonic()
                    return self._server.create_task(
                        *(members, call.method, organization, path, seconds)
                    )
                except ServerUnreachable as error:
                    if time.monotonic() < ends_at:
                        refusals += self._server_answers()
                    if refusals < _REFUSALS:
                        raise
                    raise CarrierError(
                        f"The vantage6 server answers, but does not create a task for {station}."
                        f" Perhaps {station} has no node in this collaboration; the log of the node"
                        f" that runs this function has the server's words. {error.message}"
                    ) from error

            until = min(ends_at, time.monotonic() + _CREATE_PATIENCE_SECONDS)
            deadline = Deadline(SYSTEM_CLOCK, until)
            number = retrying(create, cancelled, deadline, ServerUnreachable)
        log.info("%s: task %d", members["name"], number)
        return number

    def _server_answers(self) -> bool:
        """Whether the server can be reached."""
        try:
            self._server.organizations(self._members["collaboration_id"])
        except ServerUnreachable:
            return False
        return True


def _largest_bundle(stored: int) -> int:
    """Return the size of the bundle that takes so much: base64 in JSON, and that in base64."""
    return stored * 9 // 16


def _about(call: Call) -> str:
    """Return what a task is, for its description."""
    if not isinstance(call, HostCall):
        return "A Flower message for the ClientApp"
    return "A Flower ClientApp" if call.mode == Mode.DIRECT else "A Flower SuperNode"


class _Task:
    """Implements `proxy.carriers.Function` with a task."""

    def __init__(
        self,
        starter: Vantage6Starter,
        server: Server,
        number: int,
        station: str,
        asking: Asking | None = None,
    ) -> None:
        self._starter = starter
        self._server = server
        self.number = number
        self._station = station
        self._asking = asking
        self._run_number = 0
        self._ended = False

    def save_reply(self, path: Path, ends_at: float, cancelled: threading.Event) -> None:
        """Wait for the bundle that the function leaves; see `Function.save_reply`."""
        with TemporaryDirectory(prefix=_PAYLOADS, dir=self._starter.folder) as folder:
            result_file = Path(folder, "result")
            self._await_result(result_file, ends_at, cancelled)
            try:
                with payload.read(result_file) as result:
                    error, kind = result.fields.get("error"), result.fields.get("code", "")
                    if error is None:
                        result.save_bundle(path)
            except CarrierError as damage:
                raise self._failure(damage) from damage
        if error is not None:
            raise FunctionFailed(str(error), str(kind))

    def _await_result(self, path: Path, ends_at: float, cancelled: threading.Event) -> None:
        """Wait until the task has ended, and write its result to a file."""
        started = asked_at = time.monotonic()
        status_due = started + _STATUS_SECONDS
        took = 0.0
        while True:
            shortest, longest = _POLL_SECONDS
            pause = max(shortest, _POLL_SHARE * (asked_at - started), _POLL_REST * took)
            if cancelled.wait(min(pause, longest)):
                raise Cancelled("Stopped while a station had a message.")
            asked_at = time.monotonic()
            trouble = ""
            try:
                if self._server.save_result(self.number, path):
                    self._ended = True
                    return
                if self._asking is not None:
                    if self._asking.answered(path):
                        log.info("%s: its result is lost; the station has the answer", self._name)
                        return
                    self.number = self._asking.repeated or self.number
            except ServerUnreachable as error:
                trouble = f" {error.message}"
            except Cancelled:
                raise
            except CarrierError as error:
                raise self._failure(error) from error
            now = time.monotonic()
            took = now - asked_at
            if now < min(status_due, ends_at):
                continue
            status_due = now + _STATUS_SECONDS
            status = self._status()
            if status is not None and status.ended and not status.ran:
                self._ended = True
                raise CarrierError(f"{self._name} ended: {status.explained}.")
            if now > ends_at:
                online = self._starter.online(self._station)
                raise CarrierError(
                    f"{self._station} did not answer within {now - started:.0f} s: task"
                    f" {self.number} is {status.name if status else 'not heard of'}, its node is"
                    f" {'online' if online else 'offline'}.{trouble}"
                )

    def await_end(self, ends_at: float) -> None:
        """Wait until the task has ended, or until a time in seconds of `time.monotonic`.

        Raises
        ------
        Vantage6Error
            If the server does not say.
        """
        while not self.run().status.ended:
            if time.monotonic() > ends_at:
                return
            time.sleep(_POLL_SECONDS[1])
        self._ended = True

    def _failure(self, error: CarrierError) -> CarrierError:
        """Return what became of the task, which has ended without a sound result."""
        self._ended = True
        status = self._status()
        ended = f"{self._name} ended{f': {status.explained}' if status else ''}."
        # That it left no result is clear where no function ran to its end.
        ran = status is None or status.ran
        return CarrierError(f"{ended} {error.message}" if ran else ended)

    @property
    def task(self) -> str:
        """The task's number."""
        return str(self.number)

    @property
    def _name(self) -> str:
        return f"Task {self.number} at {self._station}"

    def _status(self) -> TaskStatus | None:
        """Return the task's status; None if the server does not answer now."""
        try:
            return self._server.task_status(self.number)
        except ServerUnreachable:
            return None

    def run(self) -> Run:
        """Return what became of the task at its organization."""
        self._run_number = self._run_number or self._server.run_of(self.number)
        return self._server.run(self._run_number)

    def ending(self, doubtful: bool, cancelled: threading.Event) -> Ending | None:
        """Return how the function ended; where something failed, that may be known late."""
        give_up = time.monotonic() + (_ENDING_DELAY_SECONDS if doubtful else 0.0)
        while not (status := self.run().status).ended:
            if time.monotonic() >= give_up or cancelled.wait(_POLL_SECONDS[1]):
                return None
        return Ending(status.name, self._error())

    def _error(self) -> str:
        """Return the error that the function left; empty if it left none."""
        with TemporaryDirectory(prefix=_PAYLOADS, dir=self._starter.folder) as folder:
            path = Path(folder, "result")
            try:
                self._server.save_result(self.number, path)
                with payload.read(path) as result:
                    return str(result.fields.get("error", ""))
            except CarrierError:
                return ""

    def stop(self) -> None:
        """Kill the task if nobody saw it end, where that is allowed."""
        if self._starter.creator.kills_tasks and not self._ended:
            try:
                self._server.kill_task(self.number)
            except Vantage6Error as error:
                log.warning("cannot end task %d: %s", self.number, error)
