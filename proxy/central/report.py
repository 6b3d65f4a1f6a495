"""A record of each message, made of its events, and told to an observer."""

import logging
import threading
from dataclasses import dataclass, field
from typing import Self

from proxy.central.events import Answered, Drained, Dropped, Event, Pulled, Pushed, Refused, Sent
from proxy.central.memory import Differs
from proxy.central.steps import round_of, title_of
from proxy.errors import BridgeError, RunNotRunning
from proxy.fleet.metrics import Metrics
from proxy.text import block

log = logging.getLogger(__name__)


@dataclass(eq=False)
class MessageRecord:
    """What became of one message: a row of the report.

    Attributes
    ----------
    station, message_type, group_id, message_id : str
        Where it went, and what it was. `group_id` is the round in Flower's older strategies; the
        newer ones leave it empty.
    step : int
        Counts the run's messages of this type: those that go out together have the same.
    at : float
        When it was pulled from the SuperLink, in seconds since the epoch; 0 where that is not
        known.
    flower_run : str
        The id of the Flower run that it belongs to; a number too large for some JSON readers.
    bytes_out, bytes_back : int
        Sizes of the instruction bundle and of the reply bundle.
    object_bytes_out, object_bytes_back : int
        Sizes of the message's and the reply's own objects in them.
    fab_bytes : int
        What the app itself took of `bytes_out`; 0 when the station had it already.
    fab_hash : str
        The app's SHA-256, as the run names it; empty if the message did not come so far.
    seconds : dict[str, float]
        By stage: `drain` from the SuperLink, `carry` both ways, `handover` to the SuperNode,
        `clientapp` until its reply, `collect` the reply's objects, `store` them at the SuperLink.
    clientapp_runtime : float
        The ClientApp's own seconds, as its SuperNode measured them: a part of `clientapp`.
    metrics : Metrics
        Those in the reply, by key.
    state_lost : bool
        Whether a warm SuperNode was replaced before this message, and with it the ClientApp's
        state.
    error_code : int | None
        The code of the error reply, if it is one.
    error : str
        Its reason.
    """

    station: str
    flower_run: str
    message_type: str
    group_id: str
    message_id: str
    step: int = 0
    at: float = 0.0
    bytes_out: int = 0
    bytes_back: int = 0
    object_bytes_out: int = 0
    object_bytes_back: int = 0
    fab_bytes: int = 0
    fab_hash: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    clientapp_runtime: float = 0.0
    metrics: Metrics = field(default_factory=dict)
    state_lost: bool = False
    error_code: int | None = None
    error: str = ""

    @property
    def title(self) -> str:
        """What people call it: "train 3"."""
        return title_of(self.message_type, self.group_id, self.step)

    @property
    def round_number(self) -> int:
        """The round that it is of."""
        return round_of(self.group_id, self.step)

    @classmethod
    def begin(cls, event: Event) -> Self:
        """Return the record of a message of which nothing more is known than its first event."""
        about = event.instruction.metadata
        return cls(
            event.station,
            str(about.run_id),
            about.message_type,
            about.group_id,
            about.message_id,
            event.step,
            event.at,
        )

    def add(self, event: Event) -> None:
        """Add an event to the record."""
        for stage, seconds in event.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        match event:
            case Drained():
                self.object_bytes_out, self.fab_bytes = event.object_bytes, event.fab_bytes
                self.fab_hash = event.fab_hash
            case Sent():
                self.bytes_out += event.bytes
            case Answered(reply=reply):
                self.bytes_back, self.object_bytes_back = event.bytes, event.object_bytes
                self.clientapp_runtime = reply.clientapp_runtime
                self.metrics = event.metrics
                self.state_lost = self.state_lost or event.state_lost
                if reply.error is not None:
                    self.error_code, self.error = reply.error.code, block(reply.error.reason)
            case Dropped(error=error):
                self.error = block(why_dropped(error))


def why_dropped(error: Exception) -> str:
    """Return why a message ends without a reply."""
    if isinstance(error, RunNotRunning):
        return f"no reply is needed any more: {error.message}"
    if isinstance(error, Differs):  # whoever begins anew says in what
        return "no reply is needed any more: the run begins anew"
    return f"the reply is lost: {error}"


class Observer:
    """Hears of every message, from several threads; this one does not care."""

    def taken(self, record: MessageRecord) -> None:
        """A message was pulled from the SuperLink."""

    def answered(self, record: MessageRecord) -> None:
        """Its reply is stored at the SuperLink, or nobody is owed one any more."""


class Reporter:
    """Makes records of the events of all messages, and tells them to an observer.

    Parameters
    ----------
    observer : Observer
        Hears of every message.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._records: dict[tuple[str, str], MessageRecord] = {}  # by station and message

    def trace(self, event: Event) -> None:
        """Take an event."""
        key = (event.station, event.instruction.message_id)
        with self._lock:
            record = self._records.setdefault(key, MessageRecord.begin(event))
        record.add(event)
        match event:
            case Pulled():
                self._observer.taken(record)
            case Pushed() | Dropped():
                with self._lock:
                    del self._records[key]
                self._observer.answered(record)


def log_trouble(event: Event) -> None:
    """Log an event that an operator has to know of, besides the record."""
    match event:
        case Answered(state_lost=True):
            log.warning(
                "station %s: its SuperNode was replaced; the ClientApp's state is a new one",
                event.station,
            )
        case Answered(error=Exception() as error) if not isinstance(error, BridgeError | OSError):
            log.error("station %s: internal error; please report it", event.station, exc_info=error)
        case Refused(error=error):
            log.error("station %s: %s", event.station, error)
        case Dropped(error=error):
            log.info("station %s: no reply: %s", event.station, error)
