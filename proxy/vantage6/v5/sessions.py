"""Data in vantage6 5.x: every task is of a session, into which databases are extracted first.

Source: vantage6 5.0.3, `vantage6/hq/resource/session.py` and `dataframe.py`.
"""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from proxy.calls import EndCall, ExtractCall
from proxy.errors import CarrierError, ServerUnreachable, UsageError, Vantage6Error
from proxy.vantage6.data import Place, Prepared, Wanted
from proxy.vantage6.ending import name_of_end, tell_end
from proxy.vantage6.server import Organization, Server, TaskStatus, answer_of
from proxy.vantage6.v5.server import databases_of, padded

log = logging.getLogger(__name__)

# `DatabaseType.is_file_based` in vantage6/common/enum.py, and what an owner may mean by "other".
_COPIED = frozenset({"csv", "excel", "parquet", "folder", "other"})
_LABELS, _TYPE = "database_labels", "db_type_"
_POLL_SECONDS = 1.0
# A node may have to pull the image first; a result that its node lost never comes.
_PATIENCE_SECONDS = 1800.0
_LOG_LINES = 10
# How long stations may take, in all, to end an extraction and to remove a copy; the second is for a
# user who has stopped the command, and cannot stop this.
_REMOVAL_SECONDS = 60.0
_HURRIED_SECONDS = 10.0
# How the names of sessions begin that are made for one run, and of dataframes.
_OURS = "flower-v6-"
_CENTRAL = "central"
_PENDING = "pending"


def prepare(
    server: Server,
    place: Place,
    stations: Sequence[Organization],
    wanted: Wanted,
    tell: Callable[[str], None],
) -> Prepared:
    """Return the data: see `Generation.prepare`."""
    if wanted.session and not wanted.labels:
        return Prepared(*_members(wanted.session, _dataframes(server, wanted)))
    if wanted.dataframes and not wanted.session:
        raise UsageError(
            "Dataframes are in a session, and none is named.", "Name it: --session NUMBER."
        )
    _check(server, place, stations, wanted.labels)
    session = wanted.session or _new_session(server, place)

    def discard() -> None:
        if not wanted.session:
            tell(f"removing session {session}, and what was extracted into it")
            _discard(server, place, stations, session)

    try:
        dataframes = _dataframes(server, wanted) if wanted.dataframes else []
        for label in wanted.labels:
            tell(f"extracting the database {label} into session {session}")
            dataframes.append(
                _extracted(server, place, stations, session, label, own=not wanted.session)
            )
    except BaseException:
        discard()
        raise
    return Prepared(*_members(session, dataframes), discard)


def holders(
    server: Server, session: int, organizations: Sequence[Organization], run: int = 0
) -> list[Organization]:
    """Return those that may have copies of databases still that were extracted for one run.

    Parameters
    ----------
    server : Server
        As a user sees it.
    session : int
        The session. If it was not made for a run, the result is empty.
    organizations : Sequence[Organization]
        Those that are asked about.
    run : int
        The central task that is over. While another one goes on in the session, nobody has copies
        that are not needed.

    Raises
    ------
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    about, tasks = server.get(f"session/{session}"), server.all("task", session_id=session)
    with server.understanding():
        if not str(about["name"]).startswith(_OURS):
            return []
        going_on = {
            int(task["id"])
            for task in tasks
            if server.method_of(task) == _CENTRAL and not TaskStatus(task["status"]).ended
        }
        completed_ends = {
            str(task["name"])
            for task in tasks
            if server.method_of(task) == EndCall.method and TaskStatus(task["status"]).completed
        }
    if going_on - {run}:
        return []
    runs = _runs(server, _extractions(server, tasks))
    with server.understanding():
        begun = {
            int(record["organization"]["id"])
            for record in runs
            if server.status_of(record).name != _PENDING
        }
    return [
        organization
        for organization in organizations
        if organization.id in begun and name_of_end(organization) not in completed_ends
    ]


def _members(
    session: int, dataframes: Sequence[int]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the members of `Prepared`."""
    # A task that asks for a dataframe is refused where its organization has none.
    central = {"session_id": session}
    members = {**central, "databases": databases_of(dataframes)}
    return members, central, {"dataframes": list(dataframes)} if dataframes else {}


def _check(
    server: Server, place: Place, stations: Sequence[Organization], labels: Sequence[str]
) -> None:
    """Refuse databases that a station does not have, or that cannot be copied.

    A node that never was online has said nothing of its databases.

    Raises
    ------
    UsageError
        If there is one.
    """
    answer = server.all("node", collaboration_id=place.collaboration)
    with server.understanding():
        configs = {int(node["organization"]["id"]): _config(node) for node in answer}
    for station in stations:
        config = configs.get(station.id, {})
        if _LABELS not in config:
            continue
        for label in labels:
            if label not in config[_LABELS]:
                raise UsageError(
                    f"{station.name} has no database {label!r}.",
                    f"It has: {', '.join(config[_LABELS]) or 'none'}.",
                )
            kind = next(iter(config.get(f"{_TYPE}{label}", ())), "other")
            if kind not in _COPIED:
                raise UsageError(
                    f"The database {label!r} of {station.name} is of type {kind!r}. In vantage6 5"
                    " only an extraction reaches it, and a ClientApp reads files.",
                    "Extract it with an algorithm of your own, and name the result:"
                    " --session NUMBER --dataframe NAME.",
                )


def _config(node: Mapping[str, Any]) -> dict[str, list[str]]:
    config: dict[str, list[str]] = {}
    for entry in node.get("config") or ():
        config.setdefault(str(entry["key"]), []).append(str(entry["value"]))
    return config


def _new_session(server: Server, place: Place) -> int:
    body = {
        "name": f"{_OURS}{uuid.uuid4().hex}",
        "collaboration_id": place.collaboration,
        "scope": "own",
    }
    with server.call("POST", "session", json=body) as response, server.understanding():
        return int(answer_of(response)["id"])


def _discard(server: Server, place: Place, stations: Sequence[Organization], session: int) -> None:
    """Delete a session in which nothing is computed, once its stations have removed their copies.

    With a session HQ deletes its tasks, also those that no node has begun.
    """
    stopped = not isinstance(sys.exc_info()[1], Exception | None)
    give_up = time.monotonic() + (_HURRIED_SECONDS if stopped else _REMOVAL_SECONDS)
    try:
        tasks = server.all("task", session_id=session)
        with server.understanding():
            if any(server.method_of(task) == _CENTRAL for task in tasks):
                return
        extractions = _extractions(server, tasks)
        for number in extractions:
            with suppress(Vantage6Error):  # it has ended, or the user's role does not allow it
                server.kill_task(number)
        extracted = _await(server, extractions, give_up, but=_PENDING)
        members = {
            "image": place.image,
            "collaboration_id": place.collaboration,
            "session_id": session,
            "description": "What was extracted is not needed",
            **place.store,
        }
        # No run had a job there.
        remaining = holders(server, session, stations)
        ends = tell_end(server, members, uuid.uuid4().hex, remaining)
        removed = _await(server, ends, give_up) and all(
            status.completed for status in _statuses(server, ends)
        )
        if extracted and removed:
            path, all_of_it = f"session/{session}", {"delete_dependents": "true"}
            server.call("DELETE", path, params=all_of_it).close()
            return
        why = "not all stations have removed them." if extracted else "an extraction goes on."
    except CarrierError as error:
        why = error.message
    log.warning(
        "session %d stays at the server, and perhaps copies of databases at stations: %s",
        session,
        why,
    )


def _extractions(server: Server, tasks: Iterable[Mapping[str, Any]]) -> list[int]:
    with server.understanding():
        return [int(task["id"]) for task in tasks if server.method_of(task) == ExtractCall.method]


def _runs(server: Server, tasks: Iterable[int]) -> list[dict[str, Any]]:
    return [run for task in tasks for run in server.all("run", task_id=task)]


def _statuses(server: Server, tasks: Iterable[int]) -> list[TaskStatus]:
    runs = _runs(server, tasks)
    with server.understanding():
        return [server.status_of(run) for run in runs]


def _await(server: Server, tasks: Sequence[int], give_up: float, but: str = "") -> bool:
    """Wait until tasks have ended, but for runs of a status; returns whether they have."""
    while True:
        if all(status.ended or status.name == but for status in _statuses(server, tasks)):
            return True
        if time.monotonic() > give_up:
            return False
        time.sleep(_POLL_SECONDS)


def _dataframes(server: Server, wanted: Wanted) -> list[int]:
    """Return the ids of dataframes of a session; all that are ready if none is named.

    Raises
    ------
    UsageError
        If one does not exist or is not ready, or ClientApps would find two under one label.
    """
    answer = server.all(f"session/{wanted.session}/dataframe")
    with server.understanding():
        there = [_Dataframe.of(entry) for entry in answer]
    for name in wanted.dataframes:
        if not any(name in (dataframe.name, str(dataframe.id)) for dataframe in there):
            raise UsageError(
                f"The session {wanted.session} has no dataframe {name!r}.",
                f"It has: {', '.join(dataframe.name for dataframe in there) or 'none'}.",
            )
    chosen = [
        dataframe
        for dataframe in there
        if not wanted.dataframes or {dataframe.name, str(dataframe.id)} & {*wanted.dataframes}
    ]
    for candidate in chosen:
        if not candidate.ready:
            problem = (
                f"The dataframe {candidate.name} ({candidate.id}) of session {wanted.session}"
                " is not ready"
            )
            if wanted.dataframes:
                raise UsageError(
                    f"{problem}.", "Its extraction goes on still, or has failed: see its task."
                )
            log.warning("%s, and ClientApps do not get it", problem)
    ready = [dataframe for dataframe in chosen if dataframe.ready]
    labels = [*wanted.labels, *(dataframe.label for dataframe in ready)]
    for label in labels:
        if labels.count(label) > 1:
            names = [dataframe.name for dataframe in ready if dataframe.label == label]
            raise UsageError(
                f"ClientApps would find more than one database under the label {label!r}:"
                f" {', '.join(names)} in session {wanted.session}.",
                "Name the dataframes that are wanted: --dataframe NAME.",
            )
    return [dataframe.id for dataframe in ready]


@dataclass(frozen=True)
class _Dataframe:
    """A dataframe; `label` is what ClientApps find it under."""

    id: int
    name: str
    label: str
    ready: bool

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        name = str(entry["name"])
        # What another function extracted has no label but its name.
        label = str(entry["db_label"]) if name.startswith(_OURS) else name
        return cls(int(entry["id"]), name, label, bool(entry["ready"]))


def _extracted(
    server: Server,
    place: Place,
    stations: Sequence[Organization],
    session: int,
    label: str,
    own: bool,
) -> int:
    """Extract a database at all stations; returns the dataframe's id.

    Raises
    ------
    Vantage6Error
        If a station could not.
    """
    # Names are unique in all of HQ.
    name = f"{_OURS}{uuid.uuid4().hex}"
    call = ExtractCall(name, label, own)
    arguments = json.dumps(call.task()["kwargs"]).encode()
    sealed = {
        station.id: b"".join(server.encoding.seal(padded([arguments]), station.public_key)).decode()
        for station in stations
    }
    body = {
        "label": label,
        "name": name,
        "task": {
            "image": place.image,
            "method": call.method,
            "organizations": [{"id": id_, "arguments": text} for id_, text in sealed.items()],
            **place.store,
        },
    }
    path = f"session/{session}/dataframe"
    with server.call("POST", path, json=body) as response, server.understanding():
        made = answer_of(response)
        dataframe, task = int(made["id"]), int(made["last_session_task"]["id"])
    _await_extraction(server, {station.id: station.name for station in stations}, task, label)
    return dataframe


def _await_extraction(server: Server, names: Mapping[int, str], task: int, label: str) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    waiting, trouble = dict(names), ""
    while True:
        try:
            answer, trouble = server.all("run", task_id=task), ""
        except ServerUnreachable as error:
            answer, trouble = [], f" {error.message}"
        with server.understanding():
            for run in answer:
                number, status = int(run["organization"]["id"]), server.status_of(run)
                if status.completed:
                    waiting.pop(number, None)
                elif status.ended:
                    station = names.get(number, str(number))
                    raise _failure(station, label, status, str(run["log"] or ""))
        if not waiting:
            return
        if time.monotonic() > give_up:
            raise Vantage6Error(
                f"The database {label!r} was not extracted within {_PATIENCE_SECONDS:.0f} s at"
                f" {', '.join(waiting.values())}: task {task}.{trouble}"
            )
        time.sleep(_POLL_SECONDS)


def _failure(station: str, label: str, status: TaskStatus, log: str) -> Vantage6Error:
    tail = "\n".join(log.splitlines()[-_LOG_LINES:])
    return Vantage6Error(
        f"{station} could not extract the database {label!r}: {status.explained}.",
        f"The end of its log:\n{tail}" if tail else "Its node's owner has the log.",
    )
