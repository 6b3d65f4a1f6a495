"""The carrier through a vantage6 server: every organization is a station, every bundle a task.

One task for one organization and bundle, because when one run of a task fails, vantage6 fails the
others with it. A task that was created twice trains nobody twice: the station knows the message's
id. Nothing here waits for ever: a run can stay "active" after its node lost it.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from proxy.carriers import Exchange, payload
from proxy.errors import Cancelled, CarrierError, ServerUnreachable, Vantage6Error
from proxy.retry import retrying
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
# How long a host that died may be shown as active.
_HOST_STATUS_DELAY_SECONDS = 5.0
# The server keeps a run's input and result in one row; SQLite's rows end at 10^9 bytes. Both are
# stored as base64 of the payload.
MAX_STORED_BYTES = 950_000_000


@dataclass(frozen=True)
class Tasks:
    """What all tasks of a carrier have in common.

    Attributes
    ----------
    members : Mapping[str, Any]
        Vantage6's own: `image`, `collaboration_id`, `databases`, and `study_id` and `store_id` if
        there are any.
    job : str
        Names the job where vantage6 makes none: tasks of a user share no temporary folder, so
        stations keep what must not be lost under this name. Empty below a central container.
    idle_limit : float | None
        Seconds without a message after which a host ends; None to do without hosts: per-round.
    mode : str
        What the functions `host` and `per_round` take as `mode`.
    """

    members: Mapping[str, Any]
    job: str = ""
    idle_limit: float | None = None
    mode: str = "bridge"


class Vantage6Carrier:
    """Implements `proxy.carriers.Carrier` over a vantage6 server.

    Parameters
    ----------
    server : Server
        As a user or as a central container sees it.
    organizations : Sequence[Organization]
        The stations, in the order of their partitions.
    tasks : Tasks
        How their tasks are made.
    folder : Path
        An existing folder for payloads on their way.
    """

    def __init__(
        self,
        server: Server,
        organizations: Sequence[Organization],
        tasks: Tasks,
        folder: Path,
    ) -> None:
        self._server = server
        self._tasks = tasks
        self._folder = folder
        count = len(organizations)
        self._stations = {
            each.name: _Station(each, f"partition-id={index} num-partitions={count}")
            for index, each in enumerate(organizations)
        }
        self._nodes_asked = threading.Lock()
        self._nodes_asked_at = float("-inf")

    @property
    def stations(self) -> Sequence[str]:
        """The organizations' names."""
        return list(self._stations)

    def prepare(self, station: str, node_id: int) -> None:
        """Start the station's host, if SuperNodes are kept warm."""
        found = self._stations[station]
        found.node_id = node_id
        if self._tasks.idle_limit is not None:
            found.host = self._start_host(found, threading.Event())

    def online(self, station: str) -> bool:
        """Whether the station's node is online, as the server said a few seconds ago."""
        with self._nodes_asked:
            if time.monotonic() - self._nodes_asked_at > _NODES_ASKED_EVERY_SECONDS:
                try:
                    self._ask_for_nodes()
                except Vantage6Error as error:
                    log.debug("cannot find out which nodes are online: %s", error)
                self._nodes_asked_at = time.monotonic()
        return self._stations[station].online

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Run the partial function on a bundle; see `Carrier.exchange`."""
        if exchange.cancelled.is_set():
            raise Cancelled("Stopped before a station got its message.")
        found = self._stations[station]
        ends_at = time.monotonic() + exchange.timeout
        size, limit = exchange.instruction.stat().st_size, _unstored(MAX_STORED_BYTES)
        if size > limit:
            raise CarrierError(
                f"{exchange.title} for {station} takes {size} bytes, more than the vantage6 server"
                f" can store: {limit} for a message and its reply."
            )
        kwargs: dict[str, Any] = {
            "message_id": exchange.message_id,
            "max_reply_bytes": limit - size,
        }
        if self._tasks.idle_limit is not None:
            self._ensure_host(found, exchange.cancelled)
            kwargs["timeout"] = exchange.timeout
        else:
            kwargs |= {
                "node_config": found.node_config,
                "mode": self._tasks.mode,
                "job": self._tasks.job,
            }
        method = "courier" if "timeout" in kwargs else "per_round"
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder, "payload")
            payload.write(path, {"method": method, "kwargs": kwargs}, exchange.instruction)
            task = self._create(exchange.title, found, path, exchange.cancelled, ends_at)
            try:
                self._await_result(task, station, path, exchange.cancelled, ends_at)
                self._save_answer(task, station, path, exchange)
            except CarrierError:
                found.doubtful = True
                raise

    def close(self) -> None:
        """Do nothing: hosts see for themselves that their job is over."""

    def _ensure_host(self, station: "_Station", cancelled: threading.Event) -> None:
        """Start a new host if the station's has ended."""
        ended = "it never started"
        if station.host is not None:
            try:
                status = self._host_status(station, station.host, cancelled)
            except ServerUnreachable:
                return
            station.doubtful = False
            if not status.ended:
                return
            ended = self._words(station.host.task) or status.name
        log.warning(
            "station %s: its host ended (%s); a new one starts, and the ClientApp's state is lost",
            station.organization.name,
            ended,
        )
        station.host = self._start_host(station, cancelled)

    def _host_status(
        self, station: "_Station", host: "_Host", cancelled: threading.Event
    ) -> TaskStatus:
        """Return a host's status, which may be late where something failed."""
        give_up = time.monotonic() + (_HOST_STATUS_DELAY_SECONDS if station.doubtful else 0.0)
        while True:
            status = self._run(host).status
            if status.ended or time.monotonic() >= give_up or cancelled.wait(_POLL_SECONDS[1]):
                return status

    def _run(self, host: "_Host") -> Run:
        """Return what became of a host."""
        host.run = host.run or self._server.run_of(host.task)
        return self._server.run(host.run)

    def _words(self, task: int) -> str:
        """Return what a function that failed said itself; empty if it said nothing."""
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder, "result")
            try:
                self._server.save_result(task, path)
                with payload.read(path) as result:
                    return str(result.fields.get("error", ""))
            except CarrierError:
                return ""

    def _why(self, station: "_Station", error: str, cancelled: threading.Event) -> str:
        """Return what a courier said, and its host, of which it only sees that it is gone."""
        if station.host is None:
            return error
        try:
            ended = self._host_status(station, station.host, cancelled).ended
        except ServerUnreachable:
            return error
        words = self._words(station.host.task) if ended else ""
        return f"{error} It said: {words}" if words else error

    def _start_host(self, station: "_Station", cancelled: threading.Event) -> "_Host":
        kwargs = {
            "node_id": station.node_id,
            "node_config": station.node_config,
            "mode": self._tasks.mode,
            "idle_limit": self._tasks.idle_limit,
        }
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder, "payload")
            payload.write(path, {"method": "host", "kwargs": kwargs})
            ends_at = time.monotonic() + _CREATE_PATIENCE_SECONDS
            return _Host(self._create("host", station, path, cancelled, ends_at))

    def _create(
        self,
        title: str,
        station: "_Station",
        path: Path,
        cancelled: threading.Event,
        ends_at: float,
    ) -> int:
        """Create a task at a station; returns its id."""
        name = station.organization.name
        members = {
            **self._tasks.members,
            "name": f"{title}: {name}",
            "description": f"A Flower SuperNode at {name}"
            if title == "host"
            else f"A Flower message for the ClientApp at {name}",
        }
        refusals = 0

        def create() -> int:
            nonlocal refusals
            try:
                return self._server.create_task(members, station.organization, path)
            except ServerUnreachable as error:
                refusals += self._server_answers()
                if refusals < _REFUSALS:
                    raise
                raise CarrierError(
                    f"The vantage6 server does not create a task for {name}. Perhaps {name} has no"
                    " node in this collaboration; the log of the node that runs this function has"
                    f" the server's answer. {error.message}"
                ) from error

        until = min(ends_at, time.monotonic() + _CREATE_PATIENCE_SECONDS)
        task = retrying(create, cancelled, until, ServerUnreachable)
        log.info("%s: task %d", members["name"], task)
        return task

    def _server_answers(self) -> bool:
        """Whether the server can be reached."""
        try:
            self._server.organizations(self._tasks.members["collaboration_id"])
        except ServerUnreachable:
            return False
        return True

    def _await_result(
        self, task: int, station: str, path: Path, cancelled: threading.Event, ends_at: float
    ) -> None:
        """Wait until a task has ended, and write its result to a file."""
        started = asked = time.monotonic()
        status_due = started + _STATUS_SECONDS
        took = 0.0
        while True:
            shortest, longest = _POLL_SECONDS
            pause = max(shortest, _POLL_SHARE * (asked - started), _POLL_REST * took)
            if cancelled.wait(min(pause, longest)):
                self._withdraw(task)
                raise Cancelled("Stopped while a station had a message.")
            asked = time.monotonic()
            trouble = ""
            try:
                if self._server.save_result(task, path):
                    return
            except ServerUnreachable as error:
                trouble = f" {error.message}"
            except CarrierError as error:
                raise self._failure(task, station, error) from error
            now = time.monotonic()
            took = now - asked
            if now < min(status_due, ends_at):
                continue
            status_due = now + _STATUS_SECONDS
            status = self._status(task)
            if status is not None and status.ended and not status.ran:
                raise CarrierError(f"Task {task} at {station} ended: {status.explained}.")
            if now > ends_at:
                self._withdraw(task)
                raise CarrierError(
                    f"{station} did not answer within {now - started:.0f} s: task {task} is"
                    f" {status.name if status else 'not heard of'}, its node is"
                    f" {'online' if self.online(station) else 'offline'}.{trouble}"
                )

    def _save_answer(self, task: int, station: str, path: Path, exchange: Exchange) -> None:
        """Take the answering bundle out of a result."""
        try:
            with payload.read(path) as result:
                said = result.fields.get("error")
                if said is None:
                    result.save_bundle(exchange.reply)
        except CarrierError as error:
            raise self._failure(task, station, error) from error
        if said is not None:
            found = self._stations[station]
            found.doubtful = True
            raise CarrierError(f"{station}: {self._why(found, said, exchange.cancelled)}")

    def _failure(self, task: int, station: str, error: CarrierError) -> CarrierError:
        """Return what became of a task that has ended without a sound result."""
        status = self._status(task)
        ended = f"Task {task} at {station} ended{f': {status.explained}' if status else ''}."
        # That it left no result is clear where no function ran to its end.
        ran = status is None or status.ran
        return CarrierError(f"{ended} {error.message}" if ran else ended)

    def _status(self, task: int) -> TaskStatus | None:
        """Return a task's status; None if the server does not answer now."""
        try:
            return self._server.task_status(task)
        except ServerUnreachable:
            return None

    def _withdraw(self, task: int) -> None:
        """End a task whose result nobody wants, where that is allowed: containers cannot."""
        if self._tasks.job:
            try:
                self._server.kill_task(task)
            except Vantage6Error as error:
                log.warning("cannot end task %d: %s", task, error)

    def _ask_for_nodes(self) -> None:
        if self._tasks.job:
            nodes = self._server.nodes(self._tasks.members["collaboration_id"])
            for station in self._stations.values():
                station.online = nodes.get(station.organization.id, False)
            return
        # Containers may not ask for nodes, but a run tells of its node.
        for station in self._stations.values():
            if station.host is not None:
                station.online = self._run(station.host).node_online


@dataclass
class _Host:
    """A station's host: its task, and the run of that when it is known."""

    task: int
    run: int = 0


@dataclass
class _Station:
    """What is known of one."""

    organization: Organization
    node_config: str
    node_id: int = 0
    host: _Host | None = None
    # Something failed there: that its host is shown as active means little.
    doubtful: bool = False
    online: bool = True


def _unstored(size: int) -> int:
    """Return how large a bundle may be: the server stores base64 of JSON with base64 in it."""
    return size * 9 // 16
