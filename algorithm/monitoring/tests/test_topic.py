"""Entries in a Kafka topic; `integration_tests/test_kafka.py` has it on a broker."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from algorithm.monitoring.entries import Entry
from algorithm.monitoring.topic import EventTopic
from proxy.errors import UsageError


class KafkaError(Exception):
    """What confluent-kafka raises, with its error in it."""

    def str(self) -> str:
        return "Broker: Unknown topic or partition"


class FakeKafka:
    """The producer of confluent-kafka, of which each entry ends as a test wants."""

    KafkaException = KafkaError

    def __init__(self) -> None:
        self.written: list[tuple[str, bytes, str]] = []
        self.topic_error: KafkaError | None = None
        self.full = False
        self.delivery_error: str | None = None
        self.undelivered = 0

    def Producer(self, settings: dict[str, Any]) -> "FakeKafka":  # noqa: N802 - its name
        return self

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=self.topic_error)})

    def produce(
        self, topic: str, value: bytes, key: str, on_delivery: Callable[[Any, object], None]
    ) -> None:
        if self.full:
            raise BufferError("Local: Queue full")
        self.written.append((topic, value, key))
        on_delivery(self.delivery_error, None)

    def poll(self, seconds: float) -> int:
        return 0

    def flush(self, seconds: float) -> int:
        return self.undelivered


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()
    monkeypatch.setattr("proxy.lanes.mailboxes.kafka_client._confluent_kafka", lambda: fake)
    return fake


def entry(event: str = "pulled") -> Entry:
    return Entry(event=event, at=1.0)


def test_each_entry_is_a_record_and_all_have_one_key(kafka: FakeKafka) -> None:
    topic = EventTopic("kafka://broker:9092/flower-events")
    for event in ("started", "pulled"):
        topic.write(entry(event))
    topic.close()
    assert [json.loads(value)["event"] for _, value, _ in kafka.written] == ["started", "pulled"]
    assert {name for name, _, _ in kafka.written} == {"flower-events"}
    assert len({key for _, _, key in kafka.written}) == 1


def test_a_topic_that_is_not_there_is_said_at_once(kafka: FakeKafka) -> None:
    kafka.topic_error = KafkaError()
    with pytest.raises(UsageError, match=r"flower-events at broker:9092 cannot be used: .*Unknown"):
        EventTopic("kafka://broker:9092/flower-events")


@pytest.mark.parametrize("url", ["", "flower-events", "folder:x", "kafka:", "kafka://broker"])
def test_what_names_no_topic_is_refused(kafka: FakeKafka, url: str) -> None:
    with pytest.raises(UsageError):
        EventTopic(url)


@pytest.mark.parametrize("trouble", ["full", "delivery", "end"])
def test_entries_that_are_lost_end_no_run_and_are_said_once(
    kafka: FakeKafka, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = EventTopic("kafka://broker:9092/flower-events")
    kafka.full = trouble == "full"
    kafka.delivery_error = "timed out" if trouble == "delivery" else None
    kafka.undelivered = 2 if trouble == "end" else 0
    for _ in range(3):
        topic.write(entry())
    topic.close()
    (record,) = caplog.records
    assert "the topic flower-events lacks events from here on" in record.getMessage()
