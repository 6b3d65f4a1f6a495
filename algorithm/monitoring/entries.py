"""Entries of `events.jsonl`: what happened to the messages of a run, one JSON object a line.

docs/events.md describes them. What a release adds keeps the schema's number, and an older one
passes over it. The number changes when a member comes to mean something else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.typed_json import decoded
from proxy import strict_json
from proxy.central.events import Answered, Drained, Dropped, Event, Refused, Sent
from proxy.central.report import why_dropped
from proxy.central.steps import title_of
from proxy.fleet.metrics import Metrics
from proxy.text import block, cleaned, one_line

SCHEMA = 1
FILE = "events.jsonl"
STARTED, ENDED = "started", "ended"
# Where entries are lines of a log, each stands behind this.
MARK = "flower-v6 event | "
# A line that is longer is none of ours: a reply's metrics are bounded, and so are its texts.
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of `events.jsonl`; what an event does not say has its default, and is not written.

    Attributes
    ----------
    event : str
        `STARTED`, a stage's name (`proxy.central.events`), or `ENDED`.
    at : float
        When, in seconds since the epoch.
    station, flower_run, message_type, group_id, message_id, step
        The message, as in `MessageRecord`; of `ENDED` the Flower run.
    seconds : dict[str, float]
        What was measured since the message's event before, by the names of
        `MessageRecord.seconds`.
    bytes : int
        Of the bundle that is sent, or of all bundles that the station answered with.
    object_bytes : int
        Of the message's own objects when it is drained, of the reply's when it is answered.
    fab_bytes : int
        What the app takes in the bundle.
    fab_hash : str
        The app's SHA-256, as the run names it.
    clientapp_runtime, metrics, state_lost, error_code
        Of the reply, as in `MessageRecord`.
    error : str
        The error reply's reason, or why the reply was refused, or why there is none.
    app, flower_release, bridge_release, mode, supernodes, stations, status, cause
        Of the run, as in `Outcome`.
    """

    event: str
    at: float
    station: str = ""
    flower_run: str = ""
    message_type: str = ""
    group_id: str = ""
    message_id: str = ""
    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: int = 0
    object_bytes: int = 0
    fab_bytes: int = 0
    fab_hash: str = ""
    clientapp_runtime: float = 0.0
    metrics: Metrics = field(default_factory=dict)
    state_lost: bool = False
    error_code: int | None = None
    error: str = ""
    app: str = ""
    flower_release: str = ""
    bridge_release: str = ""
    mode: str = ""
    supernodes: str = ""
    stations: list[str] = field(default_factory=list)
    status: str = ""
    cause: str = ""

    @property
    def title(self) -> str:
        """What people call its message: "train 3"."""
        return title_of(self.message_type, self.group_id, self.step)

    @classmethod
    def of(cls, event: Event) -> Self:
        """Return the entry of an event; texts that others wrote are cleaned."""
        about = event.instruction.metadata
        return cls(
            event=event.stage.value,
            at=event.at,
            station=_name(event.station),
            flower_run=str(about.run_id),
            message_type=_name(about.message_type),
            group_id=_name(about.group_id),
            message_id=_name(about.message_id),
            step=event.step,
            seconds=dict(event.seconds),
            **_particulars(event),
        )

    @classmethod
    def started(cls, outcome: Outcome, at: float) -> Self:
        """Return the entry of a run that begins."""
        names = ("app", "flower_release", "bridge_release", "mode", "supernodes")
        about = {name: cleaned(getattr(outcome, name)) for name in names}
        return cls(event=STARTED, at=at, stations=list(map(_name, outcome.stations)), **about)

    @classmethod
    def ended(cls, outcome: Outcome, at: float) -> Self:
        """Return the entry of a run that has ended."""
        about = {name: cleaned(getattr(outcome, name)) for name in ("status", "cause")}
        return cls(event=ENDED, at=at, flower_run=outcome.flower_run, **about)

    def text(self) -> str:
        """Return the line, without its end: ASCII, and JSON as every reader understands it."""
        members: dict[str, Any] = {"schema": SCHEMA}
        for name, default in _DEFAULTS:
            value = getattr(self, name)
            if value != default:
                members[name] = value
        return strict_json.dumps(members)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the entry that a line holds; None if it is torn, or no line of ours.

        Raises
        ------
        ValueError
            If it is of a newer schema.
        """
        try:
            members = strict_json.loads(text.encode())
        except ValueError:
            return None
        if not isinstance(members, Mapping) or not isinstance(schema := members.get("schema"), int):
            return None
        if schema > SCHEMA:
            raise ValueError(f"its schema is {schema}, this bridge reads {SCHEMA}")
        try:
            entry: Self = decoded(cls, cleaned(members), "event")
        except (ValueError, RecursionError):
            return None
        return entry


def read_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the entries that lines hold; what is torn or unknown is passed over.

    Raises
    ------
    ValueError
        If one is of a newer schema.
    """
    for line in lines:
        if (entry := Entry.read(line)) is not None:
            yield entry


def read_file(path: Path) -> Iterator[Entry]:
    """Yield the entries of a file, also of one that is still written to.

    Raises
    ------
    ValueError
        If one is of a newer schema.
    OSError
        If the file cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from read_entries(iter(lambda: file.readline(_MOST_BYTES), ""))


def _default(of: Field[Any]) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()


_DEFAULTS = [(member.name, _default(member)) for member in fields(Entry)]


@lru_cache(maxsize=1024)
def _name(text: str) -> str:
    """Return a name, cleaned: the same ones come again and again."""
    return one_line(text)


def _particulars(event: Event) -> dict[str, Any]:
    """Return what only events of its stage say."""
    match event:
        case Drained():
            return {
                "object_bytes": event.object_bytes,
                "fab_bytes": event.fab_bytes,
                "fab_hash": _name(event.fab_hash),
            }
        case Sent():
            return {"bytes": event.bytes}
        case Answered(reply=reply):
            particulars = {
                "bytes": event.bytes,
                "object_bytes": event.object_bytes,
                "clientapp_runtime": reply.clientapp_runtime,
                "metrics": cleaned(event.metrics),
                "state_lost": event.state_lost,
            }
            if reply.error is not None:
                particulars |= {"error_code": reply.error.code, "error": block(reply.error.reason)}
            return particulars
        case Refused(error=error):
            return {"error": block(str(error))}
        case Dropped(error=error):
            return {"error": block(why_dropped(error))}
        case _:
            return {}
