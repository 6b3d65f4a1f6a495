"""What became of the messages: one record each, told to whoever observes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from proxy.fleet.metrics import Metrics


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
    flower_run : str
        The id of the Flower run that it belongs to; a number too large for some JSON readers.
    bytes_out, bytes_back : int
        Sizes of the instruction bundle and of the reply bundle.
    object_bytes_out, object_bytes_back : int
        Sizes of the message's and the reply's own objects in them.
    fab_bytes : int
        What the app itself took of `bytes_out`; 0 when the station had it already.
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
    bytes_out: int = 0
    bytes_back: int = 0
    object_bytes_out: int = 0
    object_bytes_back: int = 0
    fab_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    clientapp_runtime: float = 0.0
    metrics: Metrics = field(default_factory=dict)
    state_lost: bool = False
    error_code: int | None = None
    error: str = ""

    @property
    def title(self) -> str:
        """What people call it: "train 3"."""
        return f"{self.message_type} {self.group_id or self.step}"

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Add the seconds that the body takes to a stage."""
        start = monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + monotonic() - start


class Steps:
    """Finds out which messages go out together: one to each station, at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[tuple[str, str], tuple[int, set[str]]] = {}

    def number(self, record: MessageRecord) -> int:
        """Return the step of a message that was just pulled."""
        key = (record.flower_run, record.message_type)
        with self._lock:
            step, stations = self._latest.get(key, (1, set()))
            if record.station in stations:
                step, stations = step + 1, set()
            self._latest[key] = (step, stations | {record.station})
        return step


class Observer:
    """Hears of every message, from several threads; this one does not care."""

    def taken(self, record: MessageRecord) -> None:
        """A message was pulled from the SuperLink."""

    def answered(self, record: MessageRecord) -> None:
        """Its reply is stored at the SuperLink, or nobody is owed one any more."""
