"""Ends a run's central task, and deletes what is left of it at the server."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import existing_task
from algorithm.researcher.orphans import end_run
from proxy.errors import NotFound, NotPermitted, UsageError
from proxy.vantage6.server import Server, TaskStatus

# While a run goes on it makes further tasks.
_MOST_PASSES = 20


def kill(server: Server, number: int, screen: Screen) -> None:
    """End a run: its central function, its hosts and its couriers.

    Of one whose central function has ended, hosts may be left.

    Raises
    ------
    UsageError
        If there is no such run, it has ended, or the user's role does not allow it.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    task = central_task(server, number)
    if _status(task).ended:
        if end_run(server, number, screen):
            return
        raise UsageError(f"Task {number} has ended already: {_status(task).explained}.")
    try:
        server.kill_task(number)
    except NotPermitted as error:
        raise UsageError(
            f"Your role does not allow you to kill task {number}; a Collaboration Admin's does.",
            "With yours a task may be ended by deleting it, with its log and its outcome:"
            f" flower-v6 delete {number} --running",
        ) from error
    screen.line(f"flower-v6 | task {number} is killed, and what ran for it at the stations")


def delete(server: Server, number: int, running: bool, screen: Screen) -> None:
    """Delete a run at the server, with the inputs, results and logs of all its messages.

    Parameters
    ----------
    server : Server
        As a user sees it.
    number : int
        The central task's id.
    running : bool
        Whether it may run still; it is ended then.
    screen : Screen
        Shows how far that is.

    Raises
    ------
    UsageError
        If there is no such run, it runs still, or the user's role does not allow it.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses. What was deleted is; the command may be repeated.
    """
    task = central_task(server, number)
    if not _status(task).ended and not running:
        raise UsageError(
            f"Task {number} is {_status(task).name}.",
            f"Wait for its end (flower-v6 watch {number}), kill it first (flower-v6 kill {number}),"
            " or end it by deleting it: --running.",
        )
    if not _status(task).ended:
        with suppress(NotPermitted):  # its deletion ends it, too, but until then it makes new ones
            server.kill_task(number)
    # The subtasks first: the server would keep their inputs and results for ever.
    deleted = 0
    for _ in range(_MOST_PASSES):
        subtasks = server.all("task", parent_id=number)
        for subtask in subtasks:
            screen.status(f"flower-v6 | {deleted} messages and hosts of task {number} are deleted")
            deleted += _delete(server, subtask)
        if not subtasks:
            break
    _delete(server, task)
    screen.status("")
    screen.line(
        f"flower-v6 | task {number} and its {deleted} messages and hosts are deleted, with inputs,"
        " results and logs"
    )


def central_task(server: Server, number: int) -> dict[str, Any]:
    """Return the task of a run.

    Raises
    ------
    UsageError
        If there is none of that number, or it is no run's.
    """
    task = existing_task(server, number)
    with server.understanding():
        name, parent = str(task["name"]), task["parent"]
        if parent is not None:
            raise UsageError(
                f"Task {number} ({name}) is only a part of task {parent['id']}.",
                f"Give the run's own number: {parent['id']}.",
            )
    if (method := server.method_of(task)) not in ("central", None):
        raise UsageError(
            f"Task {number} ({name}) is no run of a Flower app: its function is {method!r:.80}.",
            "Give the number that `flower-v6 submit` printed.",
        )
    return task


def _delete(server: Server, task: Mapping[str, Any]) -> bool:
    """Delete one task; returns whether it was there."""
    with server.understanding():
        number, name = int(task["id"]), str(task["name"])
    try:
        server.delete_task(number)
    except NotFound:
        return False
    except NotPermitted as error:
        raise UsageError(
            f"Your role does not allow you to delete task {number} ({name}).",
            "A Researcher may delete the tasks of their own organization; a run's messages belong"
            " to the organization whose node ran the ServerApp. Ask a user of that one.",
        ) from error
    return True


def _status(task: Mapping[str, Any]) -> TaskStatus:
    return TaskStatus(str(task["status"]))
