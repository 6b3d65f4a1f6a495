"""Follows a central task from afar: its log, and what becomes of its subtasks."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile

from algorithm.monitoring.entries import MARK, Entry
from algorithm.monitoring.feed import Taker
from algorithm.monitoring.screen import Screen
from algorithm.researcher.fetch import check_outcome
from algorithm.researcher.orphans import end_run
from algorithm.researcher.tidy import Tidier
from proxy.errors import NotFound, ServerUnreachable, TooLarge, Vantage6Error
from proxy.vantage6.server import Run, Server, Subtask, TaskStatus

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# The more rarely something is asked for, the longer it takes the server, which has the task itself
# to serve: a log comes whole each time; for the status of each subtask all runs are gone through.
_SHARE = 0.05
_PAGE = 10
# Of more subtasks the older ones are not shown.
_MOST_PAGES = 10_000


def watch(
    server: Server,
    task: int,
    screen: Screen,
    takers: Sequence[Taker],
    tidier: Tidier | None = None,
) -> TaskStatus:
    """Show what a task does until it ends; a server that is away is waited for.

    Stations where it leaves hosts or copies of databases behind are told that it has ended.

    Parameters
    ----------
    server : Server
        As a user sees it.
    task : int
        The central task's id.
    screen : Screen
        Shows it.
    takers : Sequence[Callable[[Entry], None]]
        Get the entries that the central's log carries.
    tidier : Tidier | None
        Deletes subtasks that the central is done with; None to keep them.

    Raises
    ------
    Vantage6Error
        If the server refuses.
    """
    watcher = Watcher(server, task, screen, takers)
    while not (status := watcher.look()).ended:
        if tidier is not None:
            tidier.tidy(watcher.subtasks)
        time.sleep(watcher.pause)
    if not status.completed:
        end_run(server, task, screen)
    if tidier is not None:
        tidier.tidy(watcher.subtasks, at_the_end=True)
    return status


def check(server: Server, task: int, status: TaskStatus, screen: Screen) -> None:
    """Raise unless a task completed, and its run, too.

    Raises
    ------
    ServerUnreachable, Vantage6Error
        If it did not, or the server does not say.
    AppError
        If it did, and its outcome says that the run did not.
    """
    if not status.completed:
        raise Vantage6Error(f"Task {task} ended: {status.explained}.")
    if not server.platform.failed_exit_code:
        check_outcome(server, task, screen)


class Watcher:
    """Looks at a task from time to time, and shows what is new.

    Parameters
    ----------
    server : Server
        As a user sees it.
    task : int
        The central task's id.
    screen : Screen
        Shows it.
    takers : Sequence[Callable[[Entry], None]]
        Get the entries that the central's log carries.

    Attributes
    ----------
    pause : float
        Seconds after which to look again.
    """

    def __init__(
        self, server: Server, task: int, screen: Screen, takers: Sequence[Taker] = ()
    ) -> None:
        self._server = server
        self._task = task
        self._screen = screen
        self.pause = _LOOK_SECONDS
        self._run = 0
        self._status = TaskStatus("pending")
        self._away = False
        self._too_large = False
        self._takers = takers
        self._log: list[str] = []
        self._told = set[str]()  # entries
        self._subtasks_due = float("-inf")
        self._known: dict[int, Subtask] = {}

    @property
    def subtasks(self) -> Sequence[Subtask]:
        """The subtasks that were seen."""
        return list(self._known.values())

    def look(self) -> TaskStatus:
        """Show what is new; returns the task's status as far as it is known."""
        try:
            started = time.monotonic()
            run = self._look_at_run()
            self.pause = max(_LOOK_SECONDS, (time.monotonic() - started) / _SHARE)
            # First the status, so that nothing is missed of what was done before the end.
            status = run.status
            self._show_log(run.log, status.ended)
            self._show_subtasks(status.ended)
        except ServerUnreachable as error:
            if not self._away:
                self._screen.status("")
                self._screen.line(f"flower-v6 | {error.message} Waiting until it is back.")
            self._away = True
            return self._status
        if self._away:
            self._screen.line("flower-v6 | the vantage6 server is back")
        self._away, self._status = False, status
        self._screen.status("" if status.ended else self._summary())
        return status

    def _look_at_run(self) -> Run:
        """Return the run; without its log once that is too large."""
        if not self._too_large:
            try:
                self._run = self._run or self._server.run_of(self._task)
                return self._server.run(self._run)
            except TooLarge as error:
                self._too_large = True
                self._screen.line(f"flower-v6 | warning: {error.message} No log is shown any more.")
        return Run(self._server.task_status(self._task), node_online=True, log="")

    def _show_log(self, log: str, to_the_end: bool) -> None:
        lines = (log if to_the_end else log[: log.rfind("\n") + 1]).splitlines()
        # At the end the node sends the log anew; a task that it starts again has a new one.
        pairs = zip(lines, self._log, strict=False)
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        for line in lines[known:]:
            if line.startswith(MARK):
                self._tell(line.removeprefix(MARK))
            else:
                self._screen.line(line)
        self._log = lines

    def _tell(self, line: str) -> None:
        """Tell an entry, once; one that the server has torn comes again at the end."""
        if line in self._told:
            return
        self._told.add(line)
        try:
            entry = Entry.read(line)
        except ValueError as error:
            log.debug("an event of the task is not understood: %s", error)
            return
        if entry is not None:
            for taker in self._takers:
                taker(entry)

    def _show_subtasks(self, to_the_end: bool) -> None:
        started = time.monotonic()
        if started < self._subtasks_due and not to_the_end:
            return
        before = self._known
        self._known = {task.id: task for task in self._subtasks()}
        self._subtasks_due = started + (time.monotonic() - started) / _SHARE
        for number, subtask in sorted(self._known.items()):
            if subtask.status.ended and not _ended(before.get(number)):
                self._screen.line(f"flower-v6 | {subtask.name}: {subtask.status.explained}")

    def _subtasks(self) -> Iterator[Subtask]:
        """Yield all subtasks; of those that ended before, what was known of them."""
        listed = set[int]()
        for page in range(1, _MOST_PAGES + 1):
            # The newest come first, so what is new stands before what is known.
            subtasks = self._server.subtasks(self._task, page, _PAGE)
            listed.update(task.id for task in subtasks)
            yield from subtasks
            if len(subtasks) < _PAGE or any(task.id in self._known for task in subtasks):
                break
        for number, subtask in self._known.items():
            if number not in listed:
                with suppress(NotFound):  # somebody who tidies has deleted it
                    known = subtask.status if _ended(subtask) else self._server.task_status(number)
                    yield replace(subtask, status=known)

    def _summary(self) -> str:
        """Return what is under way: "task 7 is active | train 3: Alpha, Beta"."""
        steps: dict[str, list[str]] = {}
        for subtask in sorted(self._known.values(), key=lambda task: -task.id):
            if not _ended(subtask):
                step, _, station = subtask.name.partition(": ")
                pending = " (pending)" if subtask.status.name == "pending" else ""
                steps.setdefault(step, []).append(f"{station}{pending}")
        parts = [f"{step}: {', '.join(stations)}" for step, stations in steps.items()]
        return " | ".join([f"flower-v6 | task {self._task} is {self._status.name}", *parts])


def _ended(task: Subtask | None) -> bool:
    return task is not None and task.status.ended
