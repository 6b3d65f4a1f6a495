"""Rules of the bridge, each broken on purpose: a simulation that does not notice is worth nothing.

Each function here breaks one, in the process that calls it.
"""

from dataclasses import replace
from pathlib import Path

from proxy import client
from proxy.blocks import Data
from proxy.central.events import Answered, Event, Stage
from proxy.client import ClientProxy, Delivery
from proxy.journal.journal import Journal
from proxy.lanes.lane import _Line, _Waiting
from proxy.lanes.letters.letter import Head, Kind
from proxy.system import durable


def mark_after_hand_over() -> None:
    """A message is marked as taken when its reply comes, not before the ClientApp has it."""
    push_messages = ClientProxy.push_messages

    def hand_over(self: ClientProxy, delivery: Delivery, now: float) -> None:
        if delivery.stage < client.Stage.CONFIRMED:
            self._advance(delivery, client.Stage.CONFIRMED, now)

    def push(self: ClientProxy, request: Data, now: float) -> bytes:
        if self.delivery is not None:
            self.delivery.on_confirmed()
        return push_messages(self, request, now)

    ClientProxy._hand_over = hand_over  # type: ignore[method-assign]
    ClientProxy.push_messages = push  # type: ignore[method-assign]


def no_fsync() -> None:
    """What has to survive a power cut is written, and not brought to the disk."""

    def sync(path: Path) -> None:
        pass

    durable.sync = sync


def ids_not_compared() -> None:
    """A reply on a lane is taken for the answer to what is under way, whatever it answers."""
    heed = _Line._heed

    def heed_all(self: _Line, head: Head, body: Path) -> None:
        if head.kind == Kind.REPLY and self._waiting is not None:
            head = replace(head, exchange=self._waiting.name)
        heed(self, head, body)

    _Line._heed = heed_all  # type: ignore[method-assign]


def lost_cancel() -> None:
    """A station is not told that nobody wants its answer any more."""

    def withdraw(self: _Line, waiting: _Waiting) -> None:
        pass

    _Line._withdraw = withdraw  # type: ignore[method-assign]


def pushed_before_journaled() -> None:
    """An answer is in the journal when its push is over, not before."""
    later = Journal._later
    answers: dict[str, Answered] = {}

    def later_still(self: Journal, event: Event) -> None:
        if isinstance(event, Answered):
            answers[event.station] = event
            return
        if event.stage in (Stage.PUSHED, Stage.REFUSED) and event.station in answers:
            later(self, answers.pop(event.station))
        later(self, event)

    Journal._later = later_still  # type: ignore[method-assign]


MUTANTS = (mark_after_hand_over, no_fsync, ids_not_compared, lost_cancel, pushed_before_journaled)
