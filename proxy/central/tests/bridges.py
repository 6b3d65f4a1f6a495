"""What tests of a running CentralProxy have in common."""

import threading
from collections.abc import Callable

from proxy.carriers import Exchange
from proxy.central.report import MessageRecord, Observer
from proxy.clock import SystemClock
from proxy.errors import Cancelled
from proxy.testing import MemoryCarrier, record_dict

MODEL = record_dict(weights=b"weights")
TRAINED = record_dict(weights=b"trained")
SECONDS = 20.0  # for what happens within milliseconds, unless it is broken


class Watch(Observer):
    """Notes what becomes of the messages, and wakes up who waits for that."""

    def __init__(self) -> None:
        self.takings: list[MessageRecord] = []
        self.answers: list[MessageRecord] = []
        self._changed = threading.Condition()

    def taken(self, record: MessageRecord) -> None:
        with self._changed:
            self.takings.append(record)
            self._changed.notify_all()

    def answered(self, record: MessageRecord) -> None:
        with self._changed:
            self.answers.append(record)
            self._changed.notify_all()

    def wait(self, answers: int = 0, takings: int = 0) -> None:
        """Wait until so many messages were taken and answered."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: len(self.answers) >= answers and len(self.takings) >= takings, SECONDS
            )


class QuickClock(SystemClock):
    """Has an hour pass in four seconds."""

    speed = 1000.0

    def monotonic(self) -> float:
        return super().monotonic() * self.speed

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds / self.speed)


class Troubled(MemoryCarrier):
    """Fails as it is told to, once for each message."""

    def __init__(self, *troubles: Callable[[threading.Event], None]) -> None:
        super().__init__(lambda _: TRAINED, ("north",))
        self._troubles = list(troubles)

    def exchange(self, station: str, exchange: Exchange) -> None:
        if self._troubles:
            self._troubles.pop(0)(exchange.cancelled)
        super().exchange(station, exchange)


def hang(cancelled: threading.Event) -> None:
    assert cancelled.wait(SECONDS)
    raise Cancelled("Stopped while the station had a message.")
