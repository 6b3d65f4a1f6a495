"""Time as the central sees it, so that a test can move it.

The wall clock is for what the protocol says in seconds since the epoch: creation times and times to
live. All waiting is measured by the monotonic clock, which nobody sets and no suspend moves.
"""

import threading
import time
from dataclasses import dataclass
from typing import Protocol, Self


class Clock(Protocol):
    """Tells the time, and waits."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only ever grow, from an arbitrary start."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until an event is set, for some seconds at most; returns whether it is set."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only ever grow, from an arbitrary start."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until an event is set, for some seconds at most; returns whether it is set."""
        return event.wait(min(seconds, threading.TIMEOUT_MAX))


SYSTEM_CLOCK = SystemClock()


@dataclass(frozen=True)
class Deadline:
    """A moment after which waiting is of no use.

    Attributes
    ----------
    clock : Clock
        The clock that it is on.
    at : float
        When it is, in seconds of `Clock.monotonic`.
    """

    clock: Clock
    at: float = float("inf")

    @classmethod
    def after(cls, seconds: float, clock: Clock = SYSTEM_CLOCK) -> Self:
        """Return the deadline that is some seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    @property
    def left(self) -> float:
        """The seconds until then; none or fewer if it has passed."""
        return self.at - self.clock.monotonic()

    @property
    def passed(self) -> bool:
        """Whether it has passed; one that is no number has."""
        return not self.left > 0
