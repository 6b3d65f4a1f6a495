"""Metrics of a run for Prometheus, made of the entries of `events.jsonl`; docs/metrics.md has all.

Label sets are bounded: what an app chooses freely, its message types and the names of its metrics,
makes so many series and no more. Nor does what a log says, in which a stranger may have written.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from algorithm.monitoring.entries import STARTED, Entry

# From a step of the direct mode to a night of training.
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
# As in `MessageRecord.seconds`.
_STAGES = frozenset({"drain", "carry", "handover", "clientapp", "collect", "store"})
_MOST_STATIONS = 10_000
_MOST_TYPES = 20
_MOST_REPLY_METRICS = 5_000
# What ServerApps got of their messages.
_REPLY, _ERROR, _DROPPED = "reply", "error", "dropped"
_OUT, _BACK = "out", "back"


class _Families:
    """The metrics that entries change, by what they are called."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"flower_v6_{name}", about, labels, registry=registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"flower_v6_{name}", about, labels, registry=registry)

        names = ("app", "mode", "supernodes", "flower_release", "bridge_release")
        self.run = gauge("run_info", "The run; always 1", *names)
        self.messages = counter(
            "messages",
            "Messages that have ended, by what the ServerApp got: reply, error or dropped",
            *("station", "type", "outcome"),
        )
        self.bytes = counter(
            "bytes", "Bundles to stations (out) and from them (back)", "station", "direction"
        )
        self.stages = Histogram(
            *("flower_v6_stage_seconds", "How long each stage of a message took", ("stage",)),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.working = gauge("station_working", "Whether the station has a message", "station")
        self.last_event = gauge(
            "station_last_event_timestamp_seconds",
            "When something last happened to a message of the station",
            "station",
        )
        self.took = gauge(
            "station_message_seconds",
            "How long the station's last message took, from the SuperLink and back",
            "station",
        )
        self.step = gauge("step", "The latest step of the messages of a type", "type")
        self.replies = gauge(
            "reply_metric", "A metric in the station's latest reply", "station", "type", "name"
        )
        self.left_out = counter(
            "reply_metrics_left_out", "Metrics in replies that are not shown: there are too many"
        )


class Metrics:
    """Keeps what entries say, for Prometheus.

    Parameters
    ----------
    folder : Path | None
        The run's folder, whose disk is told of; None if there is none.

    Attributes
    ----------
    registry : CollectorRegistry
        What is to be served.
    stations : frozenset[str]
        The run's stations, once it has started.
    online : Callable[[str], bool] | None
        Says whether a station can be reached; None as long as that is not known.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self.stations: frozenset[str] = frozenset()
        self.online: Callable[[str], bool] | None = None
        self._families = _Families(self.registry)
        self._taking = threading.Lock()
        self._types: set[str] = set()
        self._shown: set[tuple[str, str, str]] = set()  # metrics of replies
        self._pulled: dict[str, float] = {}  # when, by station
        self._outcomes: dict[str, str] = {}  # of the message at hand, by station
        self.registry.register(_Sampled(self, folder))
        ProcessCollector(registry=self.registry)

    def take(self, entry: Entry) -> None:
        """Take an entry."""
        with self._taking:
            if entry.event == STARTED:
                self._begin(entry)
            elif entry.station in self.stations:
                self._go_on(entry)

    def _begin(self, entry: Entry) -> None:
        families = self._families
        # A task that its node starts again has the same stations.
        self.stations = self.stations or frozenset(entry.stations[:_MOST_STATIONS])
        families.run.clear()
        families.run.labels(
            *(entry.app, entry.mode, entry.supernodes),
            *(entry.flower_release, entry.bridge_release),
        ).set(1)
        for station in self.stations:
            families.working.labels(station).set(0)
            # Prometheus sees no increase to a first value.
            for direction in (_OUT, _BACK):
                families.bytes.labels(station, direction)

    def _go_on(self, entry: Entry) -> None:
        families, station = self._families, entry.station
        message_type = self._type(entry.message_type)
        families.last_event.labels(station).set(entry.at)
        for stage in entry.seconds.keys() & _STAGES:
            families.stages.labels(stage).observe(entry.seconds[stage])
        match entry.event:
            case "pulled":
                self._pulled[station] = entry.at
                families.working.labels(station).set(1)
                families.step.labels(message_type).set(entry.step)
                for outcome in (_REPLY, _ERROR, _DROPPED):
                    families.messages.labels(station, message_type, outcome)
            case "sent":
                families.bytes.labels(station, _OUT).inc(max(0, entry.bytes))
            case "answered":
                families.bytes.labels(station, _BACK).inc(max(0, entry.bytes))
                self._outcomes[station] = _REPLY if entry.error_code is None else _ERROR
                self._show(station, message_type, entry)
            case "pushed" | "dropped":
                outcome = self._outcomes.pop(station, _REPLY)
                outcome = _DROPPED if entry.event == "dropped" else outcome
                families.messages.labels(station, message_type, outcome).inc()
                families.working.labels(station).set(0)
                took = max(0.0, entry.at - self._pulled.get(station, entry.at))
                families.took.labels(station).set(took)

    def _type(self, name: str) -> str:
        """Return a message's type: "train.custom" is one that an app made up."""
        if len(self._types) < _MOST_TYPES:
            self._types.add(name)
        return name if name in self._types else "other"

    def _show(self, station: str, message_type: str, entry: Entry) -> None:
        """Show the metrics of a reply."""
        for name, value in entry.metrics.items():
            labels = (station, message_type, name)
            if labels not in self._shown and len(self._shown) >= _MOST_REPLY_METRICS:
                self._families.left_out.inc()
                continue
            self._shown.add(labels)
            self._families.replies.labels(*labels).set(value)


class _Sampled(Collector):
    """What is looked up whenever somebody asks."""

    def __init__(self, metrics: Metrics, folder: Path | None) -> None:
        self._metrics = metrics
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        if (online := self._metrics.online) is not None:
            family = GaugeMetricFamily(
                "flower_v6_station_online",
                "Whether the station can be reached, as far as is known",
                labels=["station"],
            )
            for station in sorted(self._metrics.stations):
                family.add_metric([station], online(station))
            yield family
        if self._folder is not None:
            usage = shutil.disk_usage(self._folder)
            for name, about, value in (
                ("free", "Free for the run's files", usage.free),
                ("size", "The disk of the run's files", usage.total),
            ):
                yield GaugeMetricFamily(f"flower_v6_disk_{name}_bytes", about, value)
