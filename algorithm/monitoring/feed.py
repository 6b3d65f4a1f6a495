"""Tells what happens in a run, as entries of `events.jsonl`, to all who want to know."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from algorithm.monitoring.entries import Entry
from algorithm.monitoring.outcome import Outcome
from proxy.central.events import Event

Taker: TypeAlias = Callable[[Entry], None]


class Feed:
    """A listener of the central's events that tells each, as an entry, to several takers.

    Parameters
    ----------
    takers : Callable[[Entry], None]
        Called from several threads, with the entries of one message in their order.
    """

    def __init__(self, *takers: Taker) -> None:
        self._takers = takers

    def trace(self, event: Event) -> None:
        """Take an event."""
        self._tell(Entry.of(event))

    @contextmanager
    def about(self, outcome: Outcome) -> Iterator[None]:
        """Tell that a run starts, and how it ended when the body is left."""
        self._tell(Entry.started(outcome, time.time()))
        try:
            yield
        finally:
            self._tell(Entry.ended(outcome, time.time()))

    def _tell(self, entry: Entry) -> None:
        for taker in self._takers:
            taker(entry)
