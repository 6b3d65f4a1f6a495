"""What brokers do wrong costs a lane in Kafka time, and no letter."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from integration_tests.mock_kafka import (
    FETCH,
    NOT_AUTHORIZED,
    NOT_COORDINATOR,
    NOT_ENOUGH_REPLICAS,
    NOT_LEADER,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    PRODUCE,
    TIMED_OUT,
    MockCluster,
    mock_cluster,
)
from proxy.lanes.mailboxes.kafka import KafkaMailbox, topics_of
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable
from proxy.lanes.mailboxes.tests.mailboxes import letter, taken
from proxy.tests.helpers import noise, wait_until

BROKERS = 3
TO_STATION, TO_CENTRAL = topics_of("flower", "north")


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with mock_cluster(BROKERS) as cluster:
        for topic in (TO_STATION, TO_CENTRAL):
            cluster.make_topic(topic)
            cluster.lead(topic, 1)
        yield cluster


@pytest.fixture
def ends(cluster: MockCluster) -> Iterator[tuple[KafkaMailbox, KafkaMailbox]]:
    """Central and station."""
    url = f"//{cluster.brokers}/flower"
    central, station = (KafkaMailbox(url, "north", at_station) for at_station in (False, True))
    yield central, station
    central.close()
    station.close()


Ends = tuple[KafkaMailbox, KafkaMailbox]


def again(call: Callable[[], object]) -> None:
    """Call until the lane can be used, as both ends do."""

    def done() -> bool:
        try:
            call()
        except MailboxUnreachable:
            return False
        return True

    assert wait_until(done)


def passes(ends: Ends, folder: Path, content: bytes) -> None:
    """Send a letter, and take it."""
    central, station = ends
    path = letter(folder, content)
    again(lambda: central.send(path))
    got: list[bytes] = []
    again(lambda: got.append(taken(station, folder)))
    assert got == [content]


@pytest.mark.parametrize(
    ("request_kind", "errors"),
    [
        (PRODUCE, [NOT_LEADER, NOT_ENOUGH_REPLICAS, TIMED_OUT]),
        (FETCH, [NOT_LEADER, NOT_LEADER]),
        (OFFSET_FETCH, [NOT_COORDINATOR]),
        (OFFSET_COMMIT, [NOT_COORDINATOR, TIMED_OUT]),
    ],
)
def test_errors_that_pass_cost_no_letter(
    cluster: MockCluster, ends: Ends, tmp_path: Path, request_kind: int, errors: Sequence[int]
) -> None:
    cluster.fail(request_kind, errors)
    # Of one record: this cluster does not keep the order of what is repeated, as Kafka does.
    passes(ends, tmp_path, noise(100_000))
    passes(ends, tmp_path, b"after")


def test_a_leader_that_moves_costs_no_letter(
    cluster: MockCluster, ends: Ends, tmp_path: Path
) -> None:
    for broker in (2, 3, 1):
        for topic in (TO_STATION, TO_CENTRAL):
            cluster.lead(topic, broker)
        passes(ends, tmp_path, noise(2_000_000))


def test_a_broker_that_is_down_is_waited_for(
    cluster: MockCluster, ends: Ends, tmp_path: Path
) -> None:
    passes(ends, tmp_path, b"before")
    _, station = ends
    for broker in range(1, BROKERS + 1):
        cluster.down(broker)
    assert station.receive(tmp_path / "got", 0.5) is None
    for broker in range(1, BROKERS + 1):
        cluster.up(broker)
    passes(ends, tmp_path, b"after")


def test_what_a_user_may_not_write_is_said(
    cluster: MockCluster, ends: Ends, tmp_path: Path
) -> None:
    cluster.fail(PRODUCE, [NOT_AUTHORIZED])
    with pytest.raises(MailboxUnreachable, match=r"(?i)authorization"):
        ends[0].send(letter(tmp_path, b"not allowed"))
    passes(ends, tmp_path, b"allowed now")


def test_a_broker_that_deletes_no_records_is_used_all_the_same(ends: Ends, tmp_path: Path) -> None:
    """As this cluster; then the topics' retention does."""
    for number in range(5):
        passes(ends, tmp_path, b"%d" % number)
