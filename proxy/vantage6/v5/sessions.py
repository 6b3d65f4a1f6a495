"""Data in vantage6 5.x: every task is of a session, into which databases are extracted first.

Source: vantage6 5.0.3, `vantage6/hq/resource/session.py` and `dataframe.py`.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proxy.calls import ExtractCall
from proxy.errors import CarrierError, UsageError, Vantage6Error
from proxy.vantage6.data import Place, Prepared, Wanted
from proxy.vantage6.server import Organization, Server, TaskStatus, answer_of
from proxy.vantage6.v5.server import databases_of, padded

# `DatabaseType.is_file_based` in vantage6/common/enum.py, and what an owner may mean by "other".
_COPIED = frozenset({"csv", "excel", "parquet", "folder", "other"})
_LABELS, _TYPE = "database_labels", "db_type_"
_POLL_SECONDS = 1.0
# A node may have to pull the image first; a result that its node lost never comes.
_PATIENCE_SECONDS = 1800.0
_LOG_LINES = 10


def prepare(
    server: Server,
    place: Place,
    stations: Sequence[Organization],
    wanted: Wanted,
    tell: Callable[[str], None],
) -> Prepared:
    """Return the data: see `Generation.prepare`."""
    if wanted.session and not wanted.labels:
        return _prepared(wanted.session, _dataframes(server, wanted))
    if wanted.dataframes and not wanted.session:
        raise UsageError(
            "Dataframes are in a session, and none is named.", "Name it: --session NUMBER."
        )
    _check(server, place, stations, wanted.labels)
    session = wanted.session or _new_session(server, place)
    try:
        found = _dataframes(server, wanted) if wanted.dataframes else []
        for label in wanted.labels:
            tell(f"extracting the database {label} into session {session}")
            found.append(
                _extracted(server, place, stations, session, label, own=not wanted.session)
            )
    except BaseException:
        if not wanted.session:
            _delete(server, session)
        raise
    return _prepared(session, found)


def _prepared(session: int, dataframes: Sequence[int]) -> Prepared:
    # A task that asks for a dataframe is refused where its organization has none.
    central = {"session_id": session}
    members = {**central, "databases": databases_of(dataframes)}
    return Prepared(members, central, {"dataframes": list(dataframes)} if dataframes else {})


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
        told = {int(node["organization"]["id"]): _config(node) for node in answer}
    for station in stations:
        config = told.get(station.id, {})
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
    for each in node.get("config") or ():
        config.setdefault(str(each["key"]), []).append(str(each["value"]))
    return config


def _new_session(server: Server, place: Place) -> int:
    body = {
        "name": f"flower-v6-{uuid.uuid4().hex}",
        "collaboration_id": place.collaboration,
        "scope": "own",
    }
    with server.call("POST", "session", json=body) as response, server.understanding():
        return int(answer_of(response)["id"])


def _delete(server: Server, session: int) -> None:
    """Delete a session in which nothing was computed."""
    try:
        server.call("DELETE", f"session/{session}", params={"delete_dependents": "true"}).close()
    except CarrierError:
        return  # whoever reads the error that led here has no use for a second one


def _dataframes(server: Server, wanted: Wanted) -> list[int]:
    """Return the ids of dataframes of a session; all of them if none is named.

    Raises
    ------
    UsageError
        If one does not exist.
    """
    answer = server.all(f"session/{wanted.session}/dataframe")
    with server.understanding():
        there = {str(each["name"]): int(each["id"]) for each in answer}
    for name in wanted.dataframes:
        if name not in there and name not in map(str, there.values()):
            raise UsageError(
                f"The session {wanted.session} has no dataframe {name!r}.",
                f"It has: {', '.join(there) or 'none'}.",
            )
    return [
        number
        for name, number in there.items()
        if not wanted.dataframes or name in wanted.dataframes or str(number) in wanted.dataframes
    ]


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
    name = f"flower-v6-{uuid.uuid4().hex}"
    call = ExtractCall(name, label, own)
    arguments = json.dumps(call.task()["kwargs"]).encode()
    sealed = {
        each.id: b"".join(server.encoding.seal(padded([arguments]), each.public_key)).decode()
        for each in stations
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
    _await_extraction(server, {each.id: each.name for each in stations}, task, label)
    return dataframe


def _await_extraction(server: Server, names: Mapping[int, str], task: int, label: str) -> None:
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        answer = server.all("run", task_id=task)
        with server.understanding():
            ended = {int(run["organization"]["id"]): server.status_of(run) for run in answer}
            logs = {int(run["organization"]["id"]): str(run["log"] or "") for run in answer}
        for number, status in ended.items():
            if status.ended and not status.completed:
                raise _failure(names.get(number, str(number)), label, status, logs[number])
        if all(status.ended for status in ended.values()):
            return
        if time.monotonic() > give_up:
            waiting = [names.get(each, str(each)) for each in ended if not ended[each].ended]
            raise Vantage6Error(
                f"The database {label!r} was not extracted within {_PATIENCE_SECONDS:.0f} s at"
                f" {', '.join(waiting)}: task {task}."
            )
        time.sleep(_POLL_SECONDS)


def _failure(station: str, label: str, status: TaskStatus, log: str) -> Vantage6Error:
    tail = "\n".join(log.splitlines()[-_LOG_LINES:])
    return Vantage6Error(
        f"{station} could not extract the database {label!r}: {status.explained}.",
        f"The end of its log:\n{tail}" if tail else "Its node's owner has the log.",
    )
