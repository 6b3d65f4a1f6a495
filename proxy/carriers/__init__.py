"""Carriers move bundles between the central and the stations. They know nothing of Flower.

`Carrier` is all that the central needs. `tasks.TaskCarrier` is one: it has a function run at a
station for each bundle, and keeps warm hosts there, by a `Starter`: `local` starts processes on
this machine, `vantage6` tasks at the organizations of a collaboration. A carrier to stations that
are there already needs no starter. Nothing here imports `proxy.central` or `proxy.client`.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxy.calls import Call
from proxy.errors import CarrierError


@dataclass(frozen=True)
class Exchange:
    """A bundle to bring to a station, and where its answer goes.

    Attributes
    ----------
    message_id : str
        Names the exchange: a station answers a repeated one with the answer that it has.
    title : str
        Says to people what it is, for example "train 3".
    instruction, reply : Path
        An existing bundle, and where to put the answering one.
    timeout : float
        Seconds after which to give up.
    cancelled : threading.Event
        Set when nobody wants the answer any more.
    task : str
        What the carrier of an earlier process called the same exchange, which may still be under
        way; empty if there was none.
    started : Callable[[str], None]
        Told what this carrier calls it, where a later process could find it by that.
    """

    message_id: str
    title: str
    instruction: Path
    reply: Path
    timeout: float
    cancelled: threading.Event
    task: str = ""
    started: Callable[[str], None] = lambda _: None


class Carrier(Protocol):
    """What CentralProxy needs of the world between it and the stations.

    Stations are known by name (in vantage6: the organization's). Each has at most one exchange
    at a time, several stations have theirs at once, from threads of their own.
    """

    @property
    def stations(self) -> Sequence[str]:
        """The names of the stations, in a fixed order."""
        ...

    def prepare(self, station: str, node_id: int) -> None:
        """Let a station get ready under the node id that the SuperLink gave to it.

        Called before the first exchange, and again whenever the node id changes.
        """
        ...

    def online(self, station: str) -> bool:
        """Whether a station can be reached, as far as is known."""
        ...

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Bring an instruction bundle to a station, and its answer back.

        A carrier may deliver twice; the station does not train twice.

        Raises
        ------
        CarrierError
            If there is no answer, with the reason. `Cancelled` if it was called off.
        """
        ...

    def close(self) -> None:
        """End whatever runs at the stations for this job."""
        ...


class FunctionFailed(CarrierError):
    """A function at a station left an error as its result; the message is the function's own.

    Parameters
    ----------
    message : str
        The error.
    kind : str
        Its code (`BridgeError.code`), as the function says; empty if it does not.
    """

    code = "function-failed"

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Ending:
    """How a function ended.

    Attributes
    ----------
    status : str
        In the words of what ran it, for example "exit code 1" or "crashed".
    error : str
        What the function said itself; empty if it said nothing.
    """

    status: str
    error: str


class Function(Protocol):
    """A function that was started at a station."""

    @property
    def task(self) -> str:
        """What a later process finds it by; empty if it ends with this one."""
        ...

    def save_reply(self, path: Path, ends_at: float, cancelled: threading.Event) -> None:
        """Wait for the bundle that the function leaves, and write it to a file.

        Parameters
        ----------
        path : Path
            The file.
        ends_at : float
            When to give up, in seconds of `time.monotonic`.
        cancelled : threading.Event
            Set when nobody wants the bundle any more.

        Raises
        ------
        FunctionFailed
            If the function left an error.
        CarrierError
            If there is no sound bundle, with the reason. `Cancelled` if it was called off.
        """
        ...

    def ending(self, doubtful: bool, cancelled: threading.Event) -> Ending | None:
        """Return how the function ended; None while it runs.

        Parameters
        ----------
        doubtful : bool
            Whether there is reason to believe that it has ended: news of that may be late.
        cancelled : threading.Event
            Ends the waiting for such news.

        Raises
        ------
        ServerUnreachable
            If that is not known now.
        """
        ...

    def stop(self) -> None:
        """End the function if it still runs, where that is allowed."""
        ...


class Starter(Protocol):
    """Has functions run at stations; safe to use from several threads."""

    @property
    def job(self) -> str | None:
        """The job's name, where functions do not share a folder; None where they do."""
        ...

    def online(self, station: str) -> bool:
        """Whether a station can be reached, as far as is known."""
        ...

    def leave(self, station: str) -> None:
        """Let a station know that the job is over, where it cannot know; waits a little for that.

        Called once, at the end.
        """
        ...

    def room_for_reply(self, station: str, exchange: Exchange) -> int | None:
        """Return how many bytes a message leaves for its reply; None for any number.

        Raises
        ------
        CarrierError
            If the message itself is too large.
        """
        ...

    def find(self, station: str, task: str) -> Function | None:
        """Return the function that an earlier process started, by its `task`, if it may live."""
        ...

    def start(
        self,
        station: str,
        title: str,
        call: Call,
        bundle: Path | None,
        ends_at: float,
        cancelled: threading.Event,
    ) -> Function:
        """Start a function; it may be started twice.

        Parameters
        ----------
        station : str
            Where.
        title : str
            Says to people what it is for.
        call : Call
            The function and its arguments.
        bundle : Path | None
            What it gets beside them.
        ends_at : float
            When to give up, in seconds of `time.monotonic`.
        cancelled : threading.Event
            Set when nobody wants it any more.

        Raises
        ------
        CarrierError
            If it cannot be started. `Cancelled` if it was called off.
        """
        ...
