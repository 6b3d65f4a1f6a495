"""Brings the outcome of a central task home: run.json, and the files that the ServerApp wrote."""

import threading
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.functions.result import FILES
from algorithm.monitoring.entries import MARK
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import Researcher, existing_task
from algorithm.researcher.orphans import end_run
from proxy import strict_json
from proxy.clock import Deadline
from proxy.errors import AppError, CarrierError, ServerUnreachable, UsageError, Vantage6Error
from proxy.system.retry import retrying
from proxy.vantage6.encryption import Encrypted
from proxy.vantage6.server import Server, TaskStatus

_LOG_LINES = 30
# A server that is away just when a run has ended is waited for.
_PATIENCE_SECONDS = 300.0
_REPORT = "run.json"


def fetch(researcher: Researcher, task: Mapping[str, Any], output: Path, screen: Screen) -> None:
    """Write a task's outcome to a folder; a file that is there already is never replaced.

    Stations where a central left something are told that it is over: nobody may have watched it.

    Raises
    ------
    UsageError
        If the task has not ended yet, or its result was encrypted for another organization, or
        a file of its outcome is in the folder already.
    Vantage6Error
        If it left no outcome.
    AppError
        If the task was refused before anything started; if the outcome is not to be written; or if
        it says that the run did not complete, which is known only when it is written.
    """
    with researcher.server.understanding():
        number, creator = int(task["id"]), task["init_org"]["id"]
    status = researcher.server.task_status(number)
    if not status.ended:
        raise UsageError(
            f"Task {number} is {status.name}: it has no result before it ends.",
            f"Wait for its end with: flower-v6 watch {number}",
        )
    if not status.completed:
        end_run(researcher.server, number, screen)
    if researcher.collaboration.encrypted and creator != researcher.own.id:
        raise UsageError(
            f"The result of task {number} is encrypted for the organization that created the"
            f" task, not for {researcher.own.name}.",
            "Log in as a user of that organization, with its key.",
        )
    check_output(output)
    result = _result(researcher.server, number, status, screen)
    outcome = _outcome(result, number)
    files = result.pop(FILES)
    _write({**result, **outcome.members()}, files, output)
    screen.line(f"flower-v6 | {output} has {_REPORT} and {len(files)} files of the ServerApp")
    if outcome.left_out:
        screen.line(
            f"flower-v6 | {_REPORT} lacks {', '.join(outcome.left_out)}: with the files, the result"
            " would have been too large"
        )
    _check(number, outcome)


def check_outcome(server: Server, task: int, screen: Screen) -> None:
    """Raise unless a task that completed says that its run did, too, where that can be read.

    Only a central task has a run. A server that is away is waited for.

    Raises
    ------
    AppError
        If it did not, or was refused.
    ServerUnreachable, Vantage6Error
        If the server does not answer for long, or refuses; or if the task left no outcome.
    """

    def result() -> dict[str, Any] | None:
        about = existing_task(server, task)
        if server.method_of(about) != "central" or not _readable(server, about):
            return None
        return _result(server, task, server.task_status(task), screen)

    deadline = Deadline.after(_PATIENCE_SECONDS)
    content = retrying(result, threading.Event(), deadline, ServerUnreachable)
    if content is not None:
        _check(task, _outcome(content, task))


def _readable(server: Server, task: Mapping[str, Any]) -> bool:
    """Whether a task's result can be read: not where it is encrypted, and no key is given."""
    if isinstance(server.encoding, Encrypted):
        return True
    with server.understanding():
        collaboration = int(task["collaboration"]["id"])
    answer = server.get(f"collaboration/{collaboration}")
    with server.understanding():
        return not answer["encrypted"]


def _outcome(result: Mapping[str, Any], task: int) -> Outcome:
    try:
        return Outcome.checked(result)
    except ValueError as error:
        raise Vantage6Error(
            f"The result of task {task} is not the outcome of a Flower app: {error}.",
            "Give the number that `flower-v6 submit` printed.",
        ) from error


def _check(task: int, outcome: Outcome) -> None:
    if outcome.status != "completed":
        raise AppError(
            f"The run of task {task} did not complete: {outcome.cause}",
            f"The end of its log:\n{outcome.log}" if outcome.log else "",
        )


def check_output(output: Path) -> None:
    """Refuse a folder that has an outcome already.

    Raises
    ------
    UsageError
        If it has a `run.json`.
    """
    if (output / _REPORT).exists():
        raise _already_there(output, _REPORT)


def _result(server: Server, task: int, status: TaskStatus, screen: Screen) -> dict[str, Any]:
    """Return the task's result."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "result")
        try:
            if not server.save_result(task, path):
                raise Vantage6Error(f"Task {task} has no result.")
        except CarrierError as error:
            if status.completed or isinstance(error, ServerUnreachable):
                raise
            log = server.run(server.run_of(task)).log
            lines = [line for line in log.splitlines() if not line.startswith(MARK)]
            tail = "\n".join(lines[-_LOG_LINES:])
            raise Vantage6Error(
                f"Task {task} has no outcome: it ended as {status.explained}.",
                f"The end of its log:\n{tail}" if tail else "",
            ) from error
        try:
            result = strict_json.loads(path.read_bytes())
        except ValueError as error:
            raise Vantage6Error(
                f"The result of task {task} is not JSON: its image has no Flower app, or the"
                " result is encrypted for another key."
            ) from error
    if isinstance(result, dict) and "error" in result:
        if status.completed:  # else that is done
            end_run(server, task, screen)
        raise AppError(f"Task {task} was refused before the app started: {result['error']}")
    if not (isinstance(result, dict) and isinstance(result.get(FILES), dict)):
        raise Vantage6Error(
            f"The result of task {task} is not the outcome of a Flower app.",
            "Give the number that `flower-v6 submit` printed.",
        )
    return result


def _write(members: Mapping[str, Any], files: Mapping[str, object], output: Path) -> None:
    """Write run.json and the files, or nothing at all if one is not to be in the folder."""
    folder = output.resolve()
    contents = {name: _decoded(name, content) for name, content in files.items()}
    contents[_REPORT] = strict_json.dumps(members, indent=2).encode() + b"\n"
    try:
        for name in files:
            _check_name(name, output, folder)
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:  # also if two names are one to this system
                file.write(content)
    except FileExistsError as error:
        raise _already_there(output, name) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links in the folder lead in a circle
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise AppError(f"{output} cannot be written: {reason}: {name[:80]!r}.") from error


def _check_name(name: str, output: Path, folder: Path) -> None:
    if not _is_inside(name, folder):
        raise AppError(
            f"The outcome has a file {name[:80]!r}, which would not be in {output}, or be its"
            f" {_REPORT}. Nothing was written.",
            "The app's author decides what a ServerApp writes.",
        )
    if (folder / name).exists():
        raise _already_there(output, name)


def _decoded(name: str, content: object) -> bytes:
    try:
        return b64decode(str(content), validate=True)
    except ValueError as error:
        raise AppError(f"The file {name[:80]!r} in the outcome is damaged: {error}.") from error


def _already_there(output: Path, name: str) -> UsageError:
    return UsageError(
        f"{output} has a file {name!r} already, which is not overwritten.",
        "Give a new folder with --output, or move the file away.",
    )


def _is_inside(name: str, folder: Path) -> bool:
    """Whether a file of this name is in the folder, on whatever system, and is not ours."""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    if (
        not _is_text(name)
        or "\0" in name
        or ".." in parts
        or PureWindowsPath(name).drive
        or not parts
    ):
        return False
    path = (folder / name).resolve()
    return path.is_relative_to(folder) and path not in (folder, folder / _REPORT)


def _is_text(name: str) -> bool:
    """Whether a name has no lone surrogate, with which no file can be named."""
    return name.encode(errors="replace").decode() == name
