"""Brings the outcome of a central task home: run.json, and the files that the ServerApp wrote."""

import json
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.researcher import Researcher
from algorithm.screen import Screen
from proxy.errors import AppError, CarrierError, UsageError, Vantage6Error, reason_of
from proxy.text import cleaned
from proxy.vantage6.server import Server, TaskStatus

_LOG_LINES = 30
_REPORT = "run.json"


def fetch(researcher: Researcher, task: Mapping[str, Any], output: Path, screen: Screen) -> None:
    """Write a task's outcome to a folder; files that are there already are replaced.

    Raises
    ------
    UsageError
        If the task has not ended yet, or its result was encrypted for another organization.
    Vantage6Error
        If it left no outcome.
    AppError
        If the task was refused before anything started; if the outcome is not to be written; or if
        it says that the run did not complete, which is known only when it is written.
    """
    number, status = int(task["id"]), TaskStatus(task["status"])
    if not status.ended:
        raise UsageError(
            f"Task {number} is {status.name}: it has no result before it ends.",
            f"Wait for its end with: flower-v6 watch {number}",
        )
    if researcher.collaboration.encrypted and task["init_org"]["id"] != researcher.own.id:
        raise UsageError(
            f"The result of task {number} is encrypted for the organization that created the"
            f" task, not for {researcher.own.name}.",
            "Log in as a user of that organization, with its key.",
        )
    outcome = _outcome(researcher.server, number, status)
    files = outcome.pop("files")
    _write(outcome, files, output)
    screen.line(f"flower-v6 | {output} has {_REPORT} and {len(files)} files of the ServerApp")
    if outcome.get("status") != "completed":
        raise AppError(
            f"The run of task {number} did not complete: {outcome.get('cause')}",
            f"The end of its log:\n{outcome.get('log')}" if outcome.get("log") else "",
        )


def _outcome(server: Server, task: int, status: TaskStatus) -> dict[str, Any]:
    """Return the task's result."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "result")
        try:
            if not server.save_result(task, path):
                raise Vantage6Error(f"Task {task} has no result.")
        except CarrierError as error:
            if status.completed:
                raise
            log = server.run(server.run_of(task)).log
            tail = "\n".join(log.splitlines()[-_LOG_LINES:])
            raise Vantage6Error(
                f"Task {task} has no outcome: it ended as {status.explained}.",
                f"The end of its log:\n{tail}" if tail else "",
            ) from error
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise Vantage6Error(
                f"The result of task {task} is not JSON: its image has no Flower app, or the"
                " result is encrypted for another key."
            ) from error
    if isinstance(found, dict) and "error" in found:
        raise AppError(f"Task {task} was refused before the app started: {found['error']}")
    if not (isinstance(found, dict) and isinstance(found.get("files"), dict)):
        raise Vantage6Error(
            f"The result of task {task} is not the outcome of a Flower app.",
            "Give the number that `flower-v6 submit` printed.",
        )
    return found


def _write(outcome: Mapping[str, Any], files: Mapping[str, str], output: Path) -> None:
    """Write run.json and the files, or nothing at all if one is not to be in the folder."""
    output.mkdir(parents=True, exist_ok=True)
    folder = output.resolve()
    for name in files:
        if not _is_inside(name, folder):
            raise AppError(
                f"The outcome has a file {name!r}, which is outside of {output} or would replace"
                f" its {_REPORT}. Nothing was written.",
                "Have the ServerApp write to other file names.",
            )
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b64decode(content, validate=True))
        (folder / _REPORT).write_text(json.dumps(cleaned(outcome), indent=2) + "\n")
    except OSError as error:
        raise AppError(f"{output} cannot be written: {reason_of(error)}.") from error
    except (ValueError, TypeError) as error:
        raise AppError(f"A file in the outcome is damaged: {error}.") from error


def _is_inside(name: str, folder: Path) -> bool:
    """Whether a file of this name is in the folder, on whatever system, and is not ours."""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    if "\0" in name or ".." in parts or PureWindowsPath(name).drive or not parts:
        return False
    path = (folder / name).resolve()
    return path.is_relative_to(folder) and path not in (folder, folder / _REPORT)
