"""What an operator makes in Kafka; `integration_tests/test_kafka.py` has it made on a broker."""

import shlex

from proxy.lanes.mailboxes.kafka_client import KafkaClient
from proxy.lanes.mailboxes.kafka_topics import Right, commands, rights_of

CLIENT = KafkaClient("broker:9092", "flower", {}, None)


def test_each_station_has_two_topics_of_one_partition() -> None:
    made = [shlex.split(line) for line in commands(CLIENT, ["north", "south"])]
    topics = [line for line in made if line[0] == "kafka-topics.sh"]
    assert [line[line.index("--topic") + 1] for line in topics] == [
        *("flower.north.to-station", "flower.north.to-central"),
        *("flower.south.to-station", "flower.south.to-central"),
    ]
    for line in topics:
        assert line[line.index("--partitions") + 1] == "1"


def test_a_station_reads_what_is_for_it_and_writes_to_the_central_and_the_reverse() -> None:
    rights = set(rights_of("flower", "north"))
    to_station, to_central = "flower.north.to-station", "flower.north.to-central"
    for user, reads, writes in (
        ("User:north", to_station, to_central),
        ("User:central", to_central, to_station),
    ):
        assert Right(user, "Read", "topic", reads) in rights
        assert Right(user, "Read", "group", reads) in rights
        assert Right(user, "Write", "topic", writes) in rights
        assert Right(user, "Write", "topic", reads) not in rights
        assert Right(user, "Read", "topic", writes) not in rights


def test_a_station_has_no_right_to_anything_of_another_one() -> None:
    for line in commands(CLIENT, ["north", "south"]):
        assert not ("User:north" in line and "south" in line)
