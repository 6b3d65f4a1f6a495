"""Kafka beside the lanes: what an operator makes, and events as records, on a broker."""

import getpass
import json
import os
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from algorithm.monitoring.entries import Entry
from algorithm.monitoring.topic import EventTopic
from integration_tests.harness import flower_v6, free_port
from integration_tests.lanes import KAFKA_VARIABLE, Broker, Tansu, needed, served
from integration_tests.test_authentication import make_certificate
from integration_tests.test_direct_line import NGINX, NGINX_STREAM
from proxy.errors import UsageError
from proxy.lanes.mailboxes.kafka import KafkaMailbox
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable
from proxy.lanes.mailboxes.tests.mailboxes import letter, taken
from proxy.tests.helpers import noise

# Names a file with the settings of the user `north` at the Apache Kafka that KAFKA_VARIABLE names;
# the settings there are those of its admin.
STATION_VARIABLE = "FLOWER_V6_TEST_KAFKA_STATION"


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


def test_an_operator_hears_that_there_is_no_broker() -> None:
    lane = f"kafka://127.0.0.1:{free_port()}/flower"
    ended = flower_v6("kafka", "topics", "--lane", f"north={lane}", "--make")
    assert ended.returncode == 1
    assert "does not answer" in ended.stderr


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


def test_a_station_reaches_its_own_topics_and_no_others(broker: Broker, tmp_path: Path) -> None:
    """Only where a broker has ACLs."""
    settings = os.environ.get(STATION_VARIABLE)
    if broker.ours or not settings:
        pytest.skip(f"needs an Apache Kafka with ACLs: set {KAFKA_VARIABLE}, {STATION_VARIABLE}")
    prefix = f"//{broker.address}/test-{uuid.uuid4().hex[:8]}"
    lane = f"north,south=kafka:{prefix}{broker.query}"
    made = flower_v6("kafka", "topics", "--lane", lane, "--make")
    assert made.returncode == 0, made.stderr
    as_north = f"{prefix}?properties={settings}"
    central = KafkaMailbox(f"{prefix}{broker.query}", "north", at_station=False)
    station = KafkaMailbox(as_north, "north", at_station=True)
    central.send(letter(tmp_path, b"there"))
    assert taken(station, tmp_path) == b"there"
    station.send(letter(tmp_path, b"back"))
    assert taken(central, tmp_path) == b"back"
    for at_station in (False, True):
        another = KafkaMailbox(as_north, "south", at_station)
        with pytest.raises(MailboxUnreachable, match=r"(?i)authoriz"):
            another.send(letter(tmp_path, b"of north"))
        with pytest.raises(MailboxUnreachable, match=r"(?i)authoriz"):
            taken(another, tmp_path)


def test_who_does_not_speak_as_the_broker_wants_reaches_nothing(broker: Broker) -> None:
    """Only where a broker wants TLS or SASL."""
    if broker.settings.get("security.protocol", "PLAINTEXT") == "PLAINTEXT":
        pytest.skip(f"needs an Apache Kafka with TLS or SASL: {KAFKA_VARIABLE} names none")
    with pytest.raises(MailboxUnreachable):
        KafkaMailbox(f"//{broker.address}/test", "north", at_station=True).check()


@pytest.mark.thorough
def test_a_broker_behind_tls_is_reached_by_who_trusts_its_certificate(tmp_path: Path) -> None:
    """Nginx ends TLS here: no broker of the tests speaks it itself."""
    needed(NGINX, "Debian's nginx-light")
    needed(NGINX_STREAM, "Debian's libnginx-mod-stream")
    make_certificate(tmp_path)
    broker = Tansu(tmp_path / "broker")
    if not broker.ours:
        pytest.skip(f"{KAFKA_VARIABLE} names the broker of these tests")
    broker.behind = f"127.0.0.1:{free_port()}"
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"load_module {NGINX_STREAM}; events {{}} stream {{ server {{"
        f" listen {broker.address} ssl; proxy_pass {broker.behind};"
        f" ssl_certificate {tmp_path}/cert.pem; ssl_certificate_key {tmp_path}/key.pem; }} }}"
    )
    here = f"daemon off; pid {tmp_path}/pid; error_log stderr; user {getpass.getuser()};"
    nginx = [NGINX, "-p", str(tmp_path), "-c", str(config), "-g", here]
    properties = tmp_path / "client.properties"
    properties.write_text(f"security.protocol=SSL\nssl.ca.location={tmp_path}/cert.pem\n")
    broker.query = f"?properties={properties}"
    with served(nginx, broker.address, tmp_path / "nginx.log"):
        broker.start()
        try:
            url = broker.lane("north").removeprefix("kafka:")
            central, station = (KafkaMailbox(url, "north", end) for end in (False, True))
            central.send(letter(tmp_path, noise(3_000_000)))
            assert taken(station, tmp_path) == noise(3_000_000)
            properties.write_text("security.protocol=SSL\n")
            with pytest.raises(MailboxUnreachable):
                KafkaMailbox(url, "north", at_station=True).check()
        finally:
            broker.stop()
