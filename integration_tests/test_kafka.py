"""Kafka beside the lanes: what an operator makes, and events as records, on a broker."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from algorithm.monitoring.entries import Entry
from algorithm.monitoring.topic import EventTopic
from integration_tests.harness import flower_v6
from integration_tests.lanes import Broker, kafka_broker
from proxy.errors import UsageError
from proxy.lanes.kafka import KafkaMailbox
from proxy.lanes.tests.mailboxes import letter, taken


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with kafka_broker(tmp_path_factory.mktemp("kafka") / "data") as broker:
        yield broker


def test_an_operator_has_topics_made_that_stations_use_at_once(
    broker: Broker, tmp_path: Path
) -> None:
    lane = f"kafka://{broker.address}/test-{uuid.uuid4().hex[:8]}{broker.query}"
    for outcome in ("made", "there already"):
        ended = flower_v6("kafka", "topics", "--lane", f"north,south={lane}", "--make")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count(f": {outcome}\n") == 4
    url = lane.removeprefix("kafka:")
    central, station = (KafkaMailbox(url, "south", at_station) for at_station in (False, True))
    station.check()
    central.send(letter(tmp_path, b"there"))
    assert taken(station, tmp_path) == b"there"


def test_events_are_records_of_a_topic_in_their_order(broker: Broker) -> None:
    name = f"events-{uuid.uuid4().hex[:8]}"
    url = f"kafka://{broker.address}/{name}{broker.query}"
    with pytest.raises(UsageError, match=f"The topic {name} at"):
        EventTopic(url)
    admin = AdminClient({**broker.settings})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30.0)
    topic = EventTopic(url)
    entries = [Entry(event="pulled", at=float(number)) for number in range(100)]
    for entry in entries:
        topic.write(entry)
    topic.close()
    consumer = Consumer({**broker.settings, "group.id": "test"})
    consumer.assign([TopicPartition(name, 0, 0)])
    try:
        records = consumer.consume(len(entries), timeout=60.0)
    finally:
        consumer.close()
    assert [json.loads(record.value() or b"")["at"] for record in records] == [
        entry.at for entry in entries
    ]
