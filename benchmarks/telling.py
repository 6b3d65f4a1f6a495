"""What events.jsonl and metrics cost: CPU for one message, beside a step with little to do.

The events are those of a real delivery, with metrics in the reply. All that `run --output
--metrics` has listening takes them again and again, without a run around it: a run's own time
changes by more than they take.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.flower.environment import Flower
from algorithm.monitoring.entries import Entry
from algorithm.monitoring.event_file import EventFile
from algorithm.monitoring.feed import Feed, Taker
from algorithm.monitoring.metrics import Metrics
from algorithm.monitoring.outcome import Outcome
from benchmarks.measure import DIRECT, STATIONS, Size, measure
from proxy.central.events import Answered, Event
from proxy.testing import MemoryCarrier, ProxyPair, record_dict

_MESSAGES = 2000
_METRICS = {"loss": 0.5, "accuracy": 0.9, "num-examples": 80.0}


@dataclass(frozen=True)
class Telling:
    """What telling of one message costs.

    Attributes
    ----------
    events, metrics : float
        CPU seconds of `events.jsonl` alone, and of the metrics alone.
    both : float
        CPU seconds of both.
    """

    events: float
    metrics: float
    both: float

    def __str__(self) -> str:
        """Return it as a line."""
        return (
            f"CPU for one message: events.jsonl {1000 * self.events:.3f} ms,"
            f" metrics {1000 * self.metrics:.3f} ms, both {1000 * self.both:.3f} ms"
        )

    def share_of(self, step: float) -> float:
        """Return what all stations' messages of a step cost, over the step's seconds."""
        return STATIONS * self.both / step


def measure_telling() -> Telling:
    """Measure."""
    with TemporaryDirectory(prefix="flower-v6-benchmark-") as folder:
        pair = ProxyPair(MemoryCarrier(lambda content: content), Path(folder))
        pair.send(record_dict(weights=b"12345"))
        events = [
            replace(each, metrics=_METRICS) if isinstance(each, Answered) else each
            for each in pair.events
        ]
        stations = [events[0].station]
        file = EventFile(Path(folder), anew=True)
        try:
            return Telling(
                _seconds(events, stations, file.write),
                _seconds(events, stations, Metrics().take),
                _seconds(events, stations, file.write, Metrics().take),
            )
        finally:
            file.close()


def _seconds(events: list[Event], stations: list[str], *takers: Taker) -> float:
    """Return the CPU seconds that the events of one message take."""
    for taker in takers:
        taker(Entry.started(Outcome("an app", "", "warm", stations), time.time()))
    feed = Feed(*takers)
    began = time.process_time()
    for _ in range(_MESSAGES):
        for event in events:
            feed.trace(event)
    return (time.process_time() - began) / _MESSAGES


def main() -> int:
    """Print what it costs beside a step in direct mode; returns the exit code."""
    telling = measure_telling()
    print(telling)
    with TemporaryDirectory(prefix="flower-v6-benchmark-") as folder:
        size = Size(kilobytes=1, rounds=30)
        flower = Flower(Path(sys.executable).parent.parent)
        step = measure(flower, size, DIRECT, Path(folder)).step
    share = telling.share_of(step)
    print(f"a step of {size} in direct mode: {1000 * step:.0f} ms; of that {share:.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
