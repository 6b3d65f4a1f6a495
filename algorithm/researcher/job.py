"""The job that attached organizations are in: its name, and the data that all its tasks get.

In vantage6 5 stations keep what they know of a message in the folder of a session, under the job's
name. So with a journal both are kept beside it, in `session.json`, from when they are made until
the stations are told that the job is over: who is started again after a kill trains nothing twice.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy import strict_json
from proxy.carriers.vantage6 import always
from proxy.errors import UsageError, reason_of
from proxy.journal.journal import Journal
from proxy.platforms import Creator
from proxy.system import durable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes
    ----------
    name : str
        Its name.
    members : Mapping[str, Any]
        What its tasks say of their data.
    over : Callable[[], bool]
        See `proxy.carriers.vantage6.Vantage6Starter`.
    """

    name: str
    members: Mapping[str, Any]
    over: Callable[[], bool] = always


def new_job(prepare: Callable[[], Mapping[str, Any]]) -> Job:
    """Return a new job; `prepare` returns the members that say what data its tasks get."""
    return Job(uuid.uuid4().hex, prepare())


def kept_job(
    journal: Journal,
    creator: Creator,
    about: Mapping[str, Any],
    prepare: Callable[[], Mapping[str, Any]],
) -> Job:
    """Return the job of a journal, a new one if it has none.

    Parameters
    ----------
    journal : Journal
        The journal.
    creator : Creator
        What whoever creates the job's tasks is allowed.
    about : Mapping[str, Any]
        Which data is wanted, in JSON: it has to be the same for the job to go on.
    prepare : Callable[[], Mapping[str, Any]]
        See `new_job`.

    Raises
    ------
    UsageError
        If the job that goes on has other data, or cannot be read or written.
    """
    if not creator.tells_end:
        # What a station keeps there has no place but the job's name, and no end.
        return Job(journal.history.name, prepare())
    path = journal.folder / "session.json"
    try:
        kept = strict_json.loads(path.read_bytes()) if path.exists() else None
        if kept is None:
            job = new_job(prepare)
            kept = {"about": about, "job": job.name, "members": job.members}
            durable.write(path, strict_json.dumps(kept).encode())
        known, name, members = kept["about"], kept["job"], kept["members"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be used: {reason_of(error)}.",
            "It says in which session the job's messages are. Without it, one that was under way"
            " may be trained twice.",
        ) from error
    for member, value in about.items():
        if known.get(member) != value:
            raise UsageError(
                f"The journal {journal.folder} holds a job with other {member}:"
                f" {known.get(member)!r:.80} instead of {value!r:.80}.",
                "Go on with it as it was begun, or use another folder.",
            )
    return Job(name, members, lambda: _over(journal, path))


def _over(journal: Journal, path: Path) -> bool:
    """Whether a journal's job is over; its successor has a new one then."""
    history = journal.history
    latest = map(history.under_way, {entry.station for entry in history.entries.values()})
    if any(entry is not None and not entry.is_answered for entry in latest):
        return False  # a successor brings it to its station again
    try:
        durable.remove(path)
    except OSError as error:
        log.warning("%s cannot be removed, so the job goes on: %s", path, reason_of(error))
        return False
    return True
