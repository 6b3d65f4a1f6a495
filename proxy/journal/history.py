"""What the records of a journal say: runs, and how far each message came. No I/O."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from proxy.central.events import Event, Stage
from proxy.central.steps import title_of
from proxy.fleet.contents import Read
from proxy.fleet.messages import Reply
from proxy.system.records import DamagedRecords, Record
from proxy.text import one_line

# That the SuperLink is told of the reply now: no stage, as it may have to be told again.
GIVEN = "given"
# What a record of an event adds to its message, besides the stage.
_ADDED = ("task", "reply", "data", "objects", "called_off", "why", "confirmed")
OVER = frozenset({Stage.PUSHED, Stage.DROPPED})
_ABOUT = (
    *("station", "message", "message_type", "group_id"),
    *("flower_run", "step", "expires_at", "content"),
)


@dataclass(eq=False)
class Entry:
    """One message.

    Attributes
    ----------
    station, message, message_type, group_id, flower_run : str
        Where it goes, its id, and what it is; see `proxy.central.report.MessageRecord`.
    step : int
        Its number in the run; see `proxy.central.steps`.
    expires_at : float
        When its time to live ends, in seconds since the epoch.
    content : str
        What messages that say the same have in common; empty where nobody compares.
    stage : Stage
        How far it came.
    task : str
        What the carrier called its last exchange.
    reply : str
        The name of its reply bundle; empty if there is none.
    data : str
        An error reply of the central's, and below the objects of it by id, in base64.
    objects : Mapping[str, str]
        See above.
    called_off : bool
        Whether that error reply only says that the central was stopped.
    why : str
        Why it was dropped.
    confirmed : bool
        Whether the SuperLink does not hand it out again.
    was_sent : bool
        Whether its station may have it.
    at : float
        When it was pulled first, in seconds since the epoch; later by the time for which no central
        was there.
    took : float
        Seconds from then until its answer was given.
    after : int
        How many messages of its run had been pulled by then; 0 if it was not given.
    """

    station: str
    message: str
    message_type: str
    group_id: str
    flower_run: str
    step: int
    expires_at: float
    content: str = ""
    stage: Stage = Stage.PULLED
    task: str = ""
    reply: str = ""
    data: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    called_off: bool = False
    why: str = ""
    confirmed: bool = True
    was_sent: bool = False
    at: float = 0.0
    took: float = 0.0
    after: int = 0

    @classmethod
    def of(cls, event: Event, content: str) -> Self:
        """Return the entry of a message that was just pulled."""
        about = event.instruction.metadata
        return cls(
            event.station,
            event.instruction.message_id,
            about.message_type,
            about.group_id,
            str(about.run_id),
            event.step,
            event.instruction.expires_at,
            content,
        )

    def record(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {name: getattr(self, name) for name in _ABOUT}

    @property
    def title(self) -> str:
        """What people call it: "train 3"."""
        return title_of(self.message_type, self.group_id, self.step)

    @property
    def is_answered(self) -> bool:
        """Whether its answer is fixed."""
        return bool(self.reply or self.data)

    @property
    def is_known(self) -> bool:
        """Whether a run that goes on has its answer: that the bridge was stopped is none."""
        return self.is_answered and not self.called_off

    @property
    def is_open(self) -> bool:
        """Whether, in a run, its station may have it and no answer is known."""
        return self.was_sent and not self.is_known

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done for it."""
        return self.stage in OVER

    def error_reply(self) -> tuple[bytes, dict[str, bytes]]:
        """Return the error reply of the central's, as it is pushed, and its objects by id."""
        objects = {name: base64.b64decode(content) for name, content in self.objects.items()}
        return base64.b64decode(self.data), objects


@dataclass(eq=False)
class RunEntry:
    """One run whose ServerApp is started again when its central was killed.

    Attributes
    ----------
    about : Mapping[str, Any]
        What has to be the same for it to go on.
    fixed : Mapping[str, Any]
        What it keeps however often it is started.
    at : float
        When it began, in seconds since the epoch.
    entries : list[Entry]
        Its messages, in the order in which they were pulled first.
    answers : list[Entry]
        Those whose answer was given, in that order.
    takes : list[tuple[int, list[str], bool]]
        The replies that the ServerApp took at once, in that order: how many messages it had sent by
        then, their names, and whether it waited for these in vain.
    resumed : int
        How often it went on.
    ended : str
        How it ended; empty if it has not.
    refused : str
        Why it could not go on.
    """

    about: Mapping[str, Any]
    fixed: Mapping[str, Any]
    at: float
    entries: list[Entry] = field(default_factory=list)
    answers: list[Entry] = field(default_factory=list)
    takes: list[tuple[int, list[str], bool]] = field(default_factory=list)
    resumed: int = 0
    ended: str = ""
    refused: str = ""
    _take_of: dict[str, int] = field(default_factory=dict)

    def note(self, record: Record, pause: float) -> None:
        """Note a record about it, so many seconds after the one before."""
        match record["event"]:
            case "resumed":
                self._resume(pause)
            case "ended":
                self.ended = record["status"]
            case "differs":
                self.refused = record["why"]
            case "taken":
                self._take(record["sent"], record["messages"], record["in_vain"])

    def _take(self, sent: int, messages: list[str], in_vain: bool) -> None:
        """Note which replies the ServerApp took at once.

        One that took some of them earlier took none of those behind them as before.
        """
        if in_vain:
            self.takes.append((sent, messages, True))
            return
        place = min(self._take_of.get(name, len(self.takes)) for name in messages)
        if place < len(self.takes):
            self._take_of = {name: at for name, at in self._take_of.items() if at < place}
        self.takes[place:] = [(sent, messages, False)]
        self._take_of.update(dict.fromkeys(messages, place))

    def note_answer(self, entry: Entry, at: float) -> None:
        """Note that the answer to a message is given now."""
        entry.after, entry.took = len(self.entries), max(0.0, at - entry.at)
        self.answers.append(entry)

    def _resume(self, pause: float) -> None:
        """Note that it goes on after some seconds, which no message took."""
        self.resumed += 1
        for entry in self.entries:
            if not entry.after:
                entry.at += pause

    @property
    def goes_on(self) -> bool:
        """Whether it goes on when its ServerApp is started again."""
        return not self.ended and not self.refused

    @property
    def lost(self) -> Entry | None:
        """A message whose answer is not known, though its station got another one after it.

        Its reply could not be written. The station would train it again.
        """
        latest = {entry.station: entry for entry in self.entries}
        return next(
            (
                entry
                for entry in self.entries
                if entry is not latest[entry.station]
                and entry.stage != Stage.DROPPED
                and not entry.is_known
            ),
            None,
        )


class History:
    """All that records say.

    Parameters
    ----------
    records : Iterable[Mapping[str, Any]]
        The records, in their order.
    path : Path
        The file that they are from.

    Attributes
    ----------
    name : str
        The journal's, which no other has.
    runs : list[RunEntry]
        The runs, if it is a journal of runs.
    entries : dict[tuple[str, str], Entry]
        Messages by station and id: those of the last run, or of an attached SuperLink.
    lives : dict[str, str]
        The life of the SuperNode that answered last, by station; empty for one that had none.
    ways : dict[str, str]
        How stations were reached, in words.
    at : float
        When the last record was made, in seconds since the epoch.

    Raises
    ------
    DamagedRecords
        If one of them is whole, but says what no record can say here.
    """

    def __init__(self, records: Iterable[Record], path: Path) -> None:
        self.name = ""
        self.runs: list[RunEntry] = []
        self.entries: dict[tuple[str, str], Entry] = {}
        self.lives: dict[str, str] = {}
        self.ways: dict[str, str] = {}
        self._latest: dict[str, Entry] = {}
        self.at = 0.0
        for line, record in enumerate(records, start=2):  # the first names the format
            try:
                self.add(record)
            except (LookupError, ValueError, TypeError, AttributeError) as error:
                raise DamagedRecords(
                    f"{path} has a record in line {line} that does not fit what is before it:"
                    f" {one_line(str(record), 200)}.",
                    "Use the flower-v6 release that wrote it, restore the file, or begin with"
                    " another folder.",
                ) from error

    @property
    def run(self) -> RunEntry | None:
        """The last run."""
        return self.runs[-1] if self.runs else None

    def add(self, record: Record) -> None:
        """Take one more record."""
        before, self.at = self.at, record["at"]
        match record["event"]:
            case "named":
                self.name = record["name"]
            case "reached":
                self.ways |= dict.fromkeys(record["stations"], record["way"])
            case "run":
                self.runs.append(RunEntry(record["about"], record["fixed"], record["at"]))
                self.entries, self._latest = {}, {}
            case "resumed" | "ended" | "differs" | "taken":
                self.runs[-1].note(record, self.at - before)
            case Stage.PULLED:
                self._begin(record)
            case event:
                entry = self.entries[record["station"], record["message"]]
                if event not in ("task", GIVEN):
                    entry.stage = Stage(event)
                entry.was_sent |= event == Stage.SENT
                for name in _ADDED:
                    if name in record:
                        setattr(entry, name, record[name])
                if "supernode_life" in record:
                    self.lives[entry.station] = record["supernode_life"]
                given = event == GIVEN or entry.is_over
                if self.runs and given and entry.is_known and not entry.after:
                    self.runs[-1].note_answer(entry, record["at"])

    def _begin(self, record: Record) -> None:
        entry = Entry(**{name: record[name] for name in _ABOUT}, at=record["at"])
        replaced = self.entries.pop((entry.station, record.get("instead", "")), None)
        self.entries[entry.station, entry.message] = entry
        self._latest[entry.station] = entry
        if self.runs:
            entries = self.runs[-1].entries
            if replaced is None:
                entries.append(entry)
            else:
                entry.at = replaced.at  # the ServerApp waits since then
                entries[entries.index(replaced)] = entry

    def entry(self, like: Entry) -> Entry:
        """Return the entry of the same message."""
        return self.entries[like.station, like.message]

    def latest(self, station: str) -> Entry | None:
        """Return a station's latest message."""
        return self._latest.get(station)

    def under_way(self, station: str) -> Entry | None:
        """Return the message of a station for which something is left to be done."""
        entry = self._latest.get(station)
        return None if entry is None or entry.is_over else entry

    def forget(self, entry: Entry) -> None:
        """Forget a message that is over."""
        del self.entries[entry.station, entry.message]

    def needed_replies(self) -> set[str]:
        """Return the names of the reply bundles that a successor may need."""
        run = self.run
        if run is not None:
            return {entry.reply for entry in run.entries} if run.goes_on else set()
        return {entry.reply for entry in self._latest.values() if not entry.is_over}


def record_of_error(reply: Reply, read: Read, called_off: bool) -> dict[str, Any]:
    """Return what a record says of an error reply of the central's."""
    objects = {object_id: _base64(read(object_id)) for object_id in reply.object_ids}
    data = _base64(reply.encoded)
    return {"reply": "", "data": data, "objects": objects, "called_off": called_off}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
