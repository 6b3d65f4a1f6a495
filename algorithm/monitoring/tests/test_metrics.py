"""What Prometheus gets to see of a run."""

import io
import socket
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from algorithm.cli.shared.observing import metrics_at, online_of
from algorithm.monitoring.entries import STARTED, Entry
from algorithm.monitoring.metrics import Metrics
from algorithm.monitoring.metrics_server import serving
from algorithm.monitoring.screen import Screen
from proxy.carriers import Carrier
from proxy.errors import UsageError

ANYWHERE = "127.0.0.1:0"


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
        text: str = answer.read().decode()
    return text


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    metrics = Metrics(tmp_path)
    metrics.take(
        Entry(
            event=STARTED,
            at=1.0,
            app="digits",
            mode="bridge",
            supernodes="warm",
            flower_release="1.41.0",
            bridge_release="0.1.0",
            stations=["north", "south"],
        )
    )
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"flower_v6_{name}", labels)


def series(metrics: Metrics, name: str) -> Mapping[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"flower_v6_{name}"
    }


def happen(kept: Metrics, station: str, *events: str, **said: Any) -> None:
    """Let a message of a station come to some stages."""
    for at, event in enumerate(events, start=10):
        about = {"message_type": "train", "step": 3, **said}
        kept.take(Entry(event=event, at=float(at), station=station, **about))


# What is counted


def test_a_run_is_named_and_its_stations_are_there_before_anything_happens(
    metrics: Metrics,
) -> None:
    assert series(metrics, "run_info") == {("digits", "bridge", "warm", "1.41.0", "0.1.0"): 1.0}
    assert series(metrics, "station_working") == {("north",): 0.0, ("south",): 0.0}


def test_a_message_is_counted_when_it_has_ended(metrics: Metrics) -> None:
    happen(metrics, "north", "pulled", "drained")
    train = {"station": "north", "type": "train"}
    assert value(metrics, "messages_total", **train, outcome="reply") == 0
    assert value(metrics, "station_working", station="north") == 1
    happen(metrics, "north", "answered", "pushed")
    assert value(metrics, "messages_total", **train, outcome="reply") == 1
    assert value(metrics, "station_working", station="north") == 0
    assert value(metrics, "step", type="train") == 3


@pytest.mark.parametrize(
    ("events", "code", "outcome"),
    [
        (("pulled", "answered", "pushed"), 5, "error"),
        (("pulled", "answered", "refused", "answered", "pushed"), 5, "error"),
        (("pulled", "answered", "dropped"), None, "dropped"),
        (("pulled", "dropped"), None, "dropped"),
    ],
)
def test_what_the_serverapp_got_is_the_outcome(
    metrics: Metrics, events: tuple[str, ...], code: int | None, outcome: str
) -> None:
    happen(metrics, "north", *events, error_code=code)
    counted = {key[2]: count for key, count in series(metrics, "messages_total").items() if count}
    assert counted == {outcome: 1.0}


def test_bytes_and_seconds_add_up(metrics: Metrics) -> None:
    happen(metrics, "north", "sent", bytes=100, seconds={"drain": 0.5})
    happen(metrics, "north", "answered", bytes=30, seconds={"carry": 2.0, "clientapp": 40.0})
    assert value(metrics, "bytes_total", station="north", direction="out") == 100
    assert value(metrics, "bytes_total", station="north", direction="back") == 30
    assert value(metrics, "bytes_total", station="south", direction="out") == 0
    assert value(metrics, "stage_seconds_sum", stage="clientapp") == 40
    assert value(metrics, "stage_seconds_bucket", stage="carry", le="3.0") == 1


def test_the_time_that_a_message_took_is_kept(metrics: Metrics) -> None:
    happen(metrics, "north", "pulled", "answered", "pushed")
    assert value(metrics, "station_message_seconds", station="north") == 2
    assert value(metrics, "station_last_event_timestamp_seconds", station="north") == 12


def test_the_metrics_of_the_latest_reply_are_shown(metrics: Metrics) -> None:
    for loss in (0.9, 0.5):
        happen(metrics, "north", "answered", metrics={"loss": loss})
    assert series(metrics, "reply_metric") == {("north", "train", "loss"): 0.5}


def test_a_replys_metrics_make_so_many_series_and_no_more(metrics: Metrics) -> None:
    for step in range(8):
        names = {f"weight {step} {number}": 1.0 for number in range(1000)}
        happen(metrics, "north", "answered", metrics=names)
    assert len(series(metrics, "reply_metric")) == 5000
    assert value(metrics, "reply_metrics_left_out_total") == 3000


def test_message_types_make_so_many_series_and_no_more(metrics: Metrics) -> None:
    for number in range(100):
        happen(metrics, "north", "pulled", message_type=f"query.q{number}")
    assert len(series(metrics, "step")) == 21
    assert ("other",) in series(metrics, "step")


def test_a_station_that_the_run_does_not_have_makes_no_series(metrics: Metrics) -> None:
    happen(metrics, "east", "pulled", "answered", "pushed")
    assert not series(metrics, "messages_total")


# A log in which a stranger has written


def test_stages_that_nobody_measures_make_no_series(metrics: Metrics) -> None:
    happen(metrics, "north", "sent", seconds={"drain": 1.0, "forged": 2.0})
    assert set(series(metrics, "stage_seconds_count")) == {("drain",)}


def test_runs_that_start_again_and_again_make_no_series(metrics: Metrics) -> None:
    metrics.take(Entry(event=STARTED, at=2.0, app="forged", stations=["east", "west"]))
    assert set(series(metrics, "station_working")) == {("north",), ("south",)}
    assert len(series(metrics, "run_info")) == 1


@pytest.mark.parametrize("event", ["sent", "answered"])
def test_fewer_bytes_than_none_are_not_counted(metrics: Metrics, event: str) -> None:
    happen(metrics, "north", event, bytes=-1)
    assert set(series(metrics, "bytes_total").values()) == {0.0}


# What is looked up


def test_who_is_online_is_shown_once_it_is_known(metrics: Metrics) -> None:
    assert series(metrics, "station_online") == {}
    metrics.online = lambda station: station == "south"
    assert series(metrics, "station_online") == {("north",): 0.0, ("south",): 1.0}


def test_who_is_online_is_asked_for_by_the_name_that_is_shown() -> None:
    carrier = SimpleNamespace(stations=["North\u200b"], online={"North\u200b": True}.__getitem__)
    online = online_of(cast("Carrier", carrier))
    assert online("North")
    assert not online("a forged station")


def test_the_disk_of_the_run_is_shown_where_there_is_one(metrics: Metrics) -> None:
    assert 0 < (value(metrics, "disk_free_bytes") or 0) <= (value(metrics, "disk_size_bytes") or 0)
    assert value(Metrics(), "disk_free_bytes") is None


def test_the_process_is_shown(metrics: Metrics) -> None:
    assert metrics.registry.get_sample_value("process_resident_memory_bytes")


# Serving


def test_whoever_asks_gets_all_of_it() -> None:
    with serving(ANYWHERE, None) as (metrics, url):
        metrics.take(Entry(event=STARTED, at=1.0, stations=['a "quoted\\" \n name']))
        families = list(text_string_to_metric_families(read(url)))
    names = {family.name for family in families}
    assert {"flower_v6_messages", "flower_v6_station_working", "process_cpu_seconds"} <= names
    with pytest.raises(OSError, match="refused"):
        read(url)


@pytest.mark.parametrize(
    "address",
    ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "a b:1:2", "127.0.0.1:-1"],
)
def test_what_is_no_address_is_one_clear_error(address: str) -> None:
    with pytest.raises(UsageError, match="that is no address"), serving(address, None):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "203.0.113.1:9464"])
def test_an_address_that_is_none_of_ours_is_one_clear_error(address: str) -> None:
    with pytest.raises(UsageError, match="Metrics cannot be served at"), serving(address, None):
        pass


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(UsageError, match="Address already in use") as caught,
            serving(address, None),
        ):
            pass
    assert "Name a free address" in caught.value.hint


def test_a_missing_library_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.delitem(sys.modules, "algorithm.monitoring.metrics_server")
    monkeypatch.delitem(sys.modules, "algorithm.monitoring.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    screen = Screen(io.StringIO())
    with (
        pytest.raises(UsageError, match="needs prometheus_client, which is not installed") as (
            caught
        ),
        metrics_at(ANYWHERE, None, screen),
    ):
        pass
    assert "flower-v6[metrics]" in caught.value.hint
