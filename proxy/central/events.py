"""What happens to one message at the central: an event for each stage of its delivery.

    PULLED ─▶ DRAINED ─▶ SENT ─▶ ANSWERED ─▶ PUSHED
                 ▲        │          ▲  │
                 └────────┘          │  ▼
          the station lacks       REFUSED by the SuperLink: an error reply takes its place
          the app: sent again

From PULLED, DRAINED and SENT trouble leads to ANSWERED, with an error reply. Any stage may become
DROPPED: nobody is owed a reply any more, or it can no longer be delivered. `NEXT` is that picture.

An event holds all that is known of its stage, as a journal would need it. Whoever listens gets the
events of one message in their order, from several threads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from proxy.fleet.messages import Instruction, Reply
from proxy.fleet.metrics import Metrics

log = logging.getLogger(__name__)


class Stage(StrEnum):
    """How far a message has come."""

    PULLED = "pulled"
    DRAINED = "drained"
    SENT = "sent"
    ANSWERED = "answered"
    REFUSED = "refused"
    PUSHED = "pushed"
    DROPPED = "dropped"


NEXT: Mapping[Stage | None, frozenset[Stage]] = {
    None: frozenset({Stage.PULLED}),
    Stage.PULLED: frozenset({Stage.DRAINED, Stage.ANSWERED, Stage.DROPPED}),
    Stage.DRAINED: frozenset({Stage.SENT, Stage.ANSWERED, Stage.DROPPED}),
    Stage.SENT: frozenset({Stage.DRAINED, Stage.ANSWERED, Stage.DROPPED}),
    Stage.ANSWERED: frozenset({Stage.PUSHED, Stage.REFUSED, Stage.DROPPED}),
    Stage.REFUSED: frozenset({Stage.ANSWERED, Stage.DROPPED}),
    Stage.PUSHED: frozenset(),
    Stage.DROPPED: frozenset(),
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """One message came to a stage.

    Attributes
    ----------
    stage : Stage
        The stage.
    station : str
        Where the message goes.
    instruction : Instruction
        The message.
    step : int
        Its number in the run; see `proxy.central.steps`.
    at : float
        When, in seconds since the epoch.
    seconds : Mapping[str, float]
        What was measured since the event before, by the names of `MessageRecord.seconds`.
    """

    stage: ClassVar[Stage]
    station: str
    instruction: Instruction
    step: int
    at: float
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pulled(Event):
    """The SuperLink handed it out, and will not do so again."""

    stage = Stage.PULLED


@dataclass(frozen=True, kw_only=True)
class Drained(Event):
    """All that the station needs of it is in an instruction bundle.

    Attributes
    ----------
    object_bytes : int
        The size of the message's own objects in the bundle.
    fab_bytes : int
        What the app takes in it.
    fab_hash : str
        The app's SHA-256, as the run names it.
    """

    stage = Stage.DRAINED
    object_bytes: int
    fab_bytes: int
    fab_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class Sent(Event):
    """The carrier has the bundle.

    Attributes
    ----------
    bytes : int
        The bundle's size.
    """

    stage = Stage.SENT
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Answered(Event):
    """Its reply is fixed: the ClientApp's, or an error reply of the central's.

    Attributes
    ----------
    reply : Reply
        The reply.
    read : Callable[[str], bytes]
        Returns an object of the reply; usable until the delivery ends.
    bundle : Path | None
        The reply bundle that holds the objects; None for an error reply of the central's.
    bytes : int
        The size of all bundles that the station sent for the message.
    object_bytes : int
        The size of the reply's objects.
    metrics : Metrics
        Those in the reply.
    state_lost : bool
        Whether the station's warm SuperNode, and with it the ClientApp's state, is a new one.
    supernode_life : str
        The name of that SuperNode's life; empty if there is none.
    error : Exception | None
        What the central made an error reply of.
    """

    stage = Stage.ANSWERED
    reply: Reply
    read: Callable[[str], bytes]
    bundle: Path | None = None
    bytes: int = 0
    object_bytes: int = 0
    metrics: Metrics = field(default_factory=dict)
    state_lost: bool = False
    supernode_life: str = ""
    error: Exception | None = None


@dataclass(frozen=True, kw_only=True)
class Refused(Event):
    """The SuperLink did not take the reply.

    Attributes
    ----------
    error : Exception
        Why.
    """

    stage = Stage.REFUSED
    error: Exception


@dataclass(frozen=True, kw_only=True)
class Pushed(Event):
    """The SuperLink has the reply and all of its objects.

    Attributes
    ----------
    confirmed : bool
        Whether it knows that the message arrived; else it may hand it out again.
    """

    stage = Stage.PUSHED
    confirmed: bool


@dataclass(frozen=True, kw_only=True)
class Dropped(Event):
    """The message ends without a reply at the SuperLink.

    Attributes
    ----------
    error : Exception
        Why.
    expired : bool
        Whether its time to live is over.
    confirmed : bool
        See `Pushed`.
    """

    stage = Stage.DROPPED
    error: Exception
    expired: bool
    confirmed: bool


Trace = Callable[[Event], None]


# Until the station has the message: an error reply is all that is lost.
_MAY_FAIL = frozenset({Stage.PULLED, Stage.DRAINED, Stage.SENT})


def told_to(listeners: Sequence[Trace], needed: Sequence[Trace] = ()) -> Trace:
    """Return a function that tells each event to all listeners. One that fails harms no other.

    Parameters
    ----------
    listeners : Sequence[Callable[[Event], None]]
        What one of them raises is logged.
    needed : Sequence[Callable[[Event], None]]
        Those on which a promise hangs; they hear first. What one of them raises before the station
        has the message is raised, when all have heard: the message then gets an error reply. Later
        it is logged, because a reply that is there is worth more.
    """

    def trace(event: Event) -> None:
        failure: Exception | None = None
        for listener in (*needed, *listeners):
            try:
                listener(event)
            except Exception as error:
                if listener in needed and event.stage in _MAY_FAIL:
                    failure = failure or error
                else:
                    log.exception(
                        "message %s of station %s: a listener failed when it was %s",
                        *(event.instruction.message_id, event.station, event.stage),
                    )
        if failure is not None:
            raise failure

    return trace
