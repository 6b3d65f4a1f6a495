"""What a delivery may ask about earlier ones. Without a journal nothing is known."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.central.events import Event
from proxy.central.outline import Outline
from proxy.clock import Deadline
from proxy.errors import BridgeError
from proxy.fleet.messages import Instruction


@dataclass(frozen=True)
class Kept:
    """An answer that was fixed before: a station's, in its bundle, or an error reply's bytes.

    Attributes
    ----------
    bundle : Path | None
        The reply bundle; None for an error reply of the central's.
    data : bytes
        The error reply: a PushMessages request.
    objects : Mapping[str, bytes]
        Its objects, by id.
    """

    bundle: Path | None = None
    data: bytes = b""
    objects: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """What is known of a message from a central before, or an earlier start of the ServerApp.

    Attributes
    ----------
    message_id : str
        The message that the station knows; another one of the same content where the ServerApp
        was started again. Empty if nothing is known.
    answer : Kept | None
        Its answer, if that was fixed.
    instruction : Path | None
        The instruction bundle in which it was, or was to be, sent; of a run its outline.
    task : str
        What the carrier called the exchange; empty if it did not say.
    refused : bool
        Whether the SuperLink refused that answer, and has no other.
    took : float
        Seconds from when it was pulled until its answer was given, or else until the central
        before noted something last.
    """

    message_id: str = ""
    answer: Kept | None = None
    instruction: Path | None = None
    task: str = ""
    refused: bool = False
    took: float = 0.0


NOTHING = Past()


class Differs(BridgeError):
    """A ServerApp that was started again does not say what it said before."""

    code = "differs"


class Memory(Protocol):
    """Remembers messages for a central that is started again; safe to use from several threads."""

    @property
    def is_run(self) -> bool:
        """Whether it is that of a run whose SuperLink, and ServerApp, end with the central."""
        ...

    def unfinished(self, station: str) -> Instruction | None:
        """Return the message that a SuperLink, which lives on, has yet to get the reply to."""
        ...

    def give_up(self, station: str, why: str) -> None:
        """Note that this message ends without a reply from here."""
        ...

    def unconfirmed(self, station: str) -> str:
        """Return the id of a station's last message, if the SuperLink may hand it out again.

        Empty if it knows that the message arrived, or if that has no answer yet.
        """
        ...

    def supernode_life(self, station: str) -> str:
        """Return the life that a station's SuperNode had when it last answered a central before.

        Empty if that had none or is not known, or if this central hears those answers again.
        """
        ...

    def past(self, station: str, instruction: Instruction) -> Past:
        """Return what is known of a message that was just pulled."""
        ...

    def hold(self, station: str, made: Path, bundle: Path, outline: Callable[[], Outline]) -> None:
        """Give an instruction bundle its name, before the SuperLink may forget what is in it.

        At any moment the one that had the name before survives, or this one.

        Parameters
        ----------
        station : str
            Where it goes.
        made : Path
            The bundle, complete.
        bundle : Path
            Its name, in the same folder.
        outline : Callable[[], Outline]
            Makes its outline.

        Raises
        ------
        CarrierError, OSError
            If it cannot be written.
        """
        ...

    def await_turn(self, station: str, stop: threading.Event, expiry: Deadline) -> None:
        """Wait until the message of a station may have its answer: in the order as before.

        Parameters
        ----------
        station : str
            Where the message went.
        stop : threading.Event
            Ends the waiting.
        expiry : Deadline
            When the message expires; nobody waits for longer.
        """
        ...

    def giving(self, station: str) -> AbstractContextManager[None]:
        """Note that the SuperLink gets a station's reply now, and hold up others meanwhile.

        A successor gives them in the same order.
        """
        ...

    def started(self, station: str, task: str) -> None:
        """Note what the carrier calls the exchange that has begun."""
        ...


class Lasting(Memory, Protocol):
    """A memory that survives its central, such as a journal."""

    def folder_of(self, station: str) -> Path:
        """Return the folder for a station's bundles on their way; it is there."""
        ...

    def trace(self, event: Event) -> None:
        """Take an event; raises `CarrierError` if that cannot be kept, and `Differs`."""
        ...


class Forgetful:
    """Implements `Memory` by knowing nothing."""

    is_run = False

    def unfinished(self, station: str) -> Instruction | None:  # noqa: ARG002
        """Return None."""
        return None

    def give_up(self, station: str, why: str) -> None:
        """Do nothing."""

    def unconfirmed(self, station: str) -> str:  # noqa: ARG002
        """Return nothing."""
        return ""

    def supernode_life(self, station: str) -> str:  # noqa: ARG002
        """Return nothing."""
        return ""

    def past(self, station: str, instruction: Instruction) -> Past:  # noqa: ARG002
        """Return nothing."""
        return NOTHING

    def hold(
        self,
        station: str,  # noqa: ARG002
        made: Path,
        bundle: Path,
        outline: Callable[[], Outline],  # noqa: ARG002
    ) -> None:
        """Give it its name: without its central the bundle is of no use."""
        made.replace(bundle)

    def await_turn(self, station: str, stop: threading.Event, expiry: Deadline) -> None:
        """Do nothing: there was no order before."""

    def giving(self, station: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Hold up nobody."""
        return nullcontext()

    def started(self, station: str, task: str) -> None:
        """Do nothing."""


FORGETFUL = Forgetful()
