"""What names a lane in Kafka; `integration_tests/test_lanes.py` has it on a broker."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.errors import UsageError
from proxy.lanes.mailboxes.folder import FolderMailbox
from proxy.lanes.mailboxes.kafka import _HEAD, KafkaMailbox
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable, Room
from proxy.lanes.mailboxes.tests.mailboxes import letter
from proxy.lanes.urls import open_mailbox
from proxy.testing import FakeClock
from proxy.tests.helpers import noise


@pytest.mark.parametrize(
    "url",
    ["kafka://broker:9092", "kafka:broker/x", "kafka://b/x/y", "kafka:x", "kafka://[::1:9092/x"],
)
def test_what_is_no_lane_in_kafka_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="does not name a place in Kafka"):
        open_mailbox(url, "north", at_station=True)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("propertes=/missing", "'propertes' means nothing in a URL of Kafka"),
        ("properties", "properties names no file"),
        ("properties=", "properties names no file"),
    ],
)
def test_what_means_nothing_in_a_url_of_kafka_is_refused(query: str, reason: str) -> None:
    """Else a file of settings that was misspelt would leave a connection that is not encrypted."""
    with pytest.raises(UsageError, match=reason):
        open_mailbox(f"kafka://broker/x?{query}", "north", at_station=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("a password alone", "not of the form key=value"), ("message.max.bytes=x", "not a number")],
)
def test_settings_that_make_no_sense_are_refused_without_being_shown(
    tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "settings").write_text(content)
    url = f"kafka://broker/x?properties={tmp_path}/settings"
    with pytest.raises(UsageError, match=reason) as caught:
        open_mailbox(url, "north", at_station=True)
    assert "password" not in str(caught.value)


class Error(Exception):
    def str(self) -> str:
        return 'No such configuration property: "security.protocl"'


class FakeKafka:
    """What confluent-kafka 2.16 does where it is installed."""

    KafkaException = Error

    def Consumer(self, settings: dict[str, object]) -> None:  # noqa: N802 - its name
        assert settings["security.protocl"] == "SSL"
        raise Error(Error())


def test_settings_that_the_client_does_not_know_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings").write_text("security.protocl=SSL")
    monkeypatch.setattr("proxy.lanes.mailboxes.kafka_client._confluent_kafka", FakeKafka)
    url = f"kafka://broker/x?properties={tmp_path}/settings"
    with pytest.raises(UsageError, match=r"does not take the settings.*security\.protocl"):
        open_mailbox(url, "north", at_station=True).check()


class FakeProducer:
    """Stands for confluent-kafka's, behind a link on which a record takes 40 s.

    Attributes
    ----------
    left : int
        How many records arrive before the link is cut.
    """

    def __init__(self, clock: FakeClock, left: int) -> None:
        self.left = left
        self.purged = False
        self._clock = clock
        self._queue: list[Callable[[object, object], None]] = []

    def produce(self, *_: object, on_delivery: Callable[[object, object], None], **__: int) -> None:
        if len(self._queue) == 2:
            raise BufferError
        self._queue.append(on_delivery)

    def poll(self, seconds: float) -> None:
        if self._queue and seconds and self.left:
            self._clock.passed += 40.0
            self.left -= 1
            self._queue.pop(0)(None, None)
        else:
            self._clock.passed += seconds

    def flush(self, seconds: float) -> int:
        self.poll(seconds)
        return len(self._queue)

    def purge(self) -> None:
        self.purged = True


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> tuple[KafkaMailbox, FakeProducer]:
    """A mailbox, and its producer."""
    monkeypatch.setattr("proxy.lanes.mailboxes.kafka_client._confluent_kafka", FakeKafka)
    clock = FakeClock()
    station = KafkaMailbox("//broker/x", "north", at_station=True, clock=clock)
    station._producer = producer = FakeProducer(clock, left=100)
    return station, producer


def test_a_large_letter_gets_through_a_slow_link(
    slow: tuple[KafkaMailbox, FakeProducer], tmp_path: Path
) -> None:
    station, producer = slow
    station.send(letter(tmp_path, noise(4_500_000)))
    assert producer.left == 95
    assert not producer.purged


@pytest.mark.parametrize("left", [0, 2, 4], ids=["at once", "while it is read", "at its end"])
def test_a_letter_of_which_nothing_more_arrives_is_given_up(
    slow: tuple[KafkaMailbox, FakeProducer], tmp_path: Path, left: int
) -> None:
    station, producer = slow
    producer.left = left
    with pytest.raises(MailboxUnreachable, match="did not answer in time"):
        station.send(letter(tmp_path, noise(4_500_000)))
    assert producer.purged
    assert station._producer is None


class FakeConsumer:
    """Stands for confluent-kafka's: it has the first record of a letter of four, and no other."""

    def __init__(self) -> None:
        value = _HEAD.pack(bytes(16), 0, 4) + bytes(900_000)
        self._records = [SimpleNamespace(error=lambda: None, value=lambda: value, offset=lambda: 0)]

    def poll(self, _: float) -> object:
        return self._records.pop() if self._records else None


def test_a_letter_that_its_sender_gave_up_keeps_no_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("proxy.lanes.mailboxes.kafka_client._confluent_kafka", FakeKafka)
    monkeypatch.setattr(Room, "_kept", {})
    clock = FakeClock()
    central = KafkaMailbox("//broker/x", "north", at_station=False, clock=clock)
    central._consumer = cast(Any, FakeConsumer())
    assert central.receive(tmp_path / "arrived", 1.0) is None
    assert Room._kept
    clock.passed += 3600.0
    assert central.receive(tmp_path / "arrived", 1.0) is None
    assert Room._kept == {}
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_missing_are_said() -> None:
    with pytest.raises(UsageError, match="missing cannot be read"):
        open_mailbox("kafka://broker/x?properties=/missing", "north", at_station=True)


@pytest.mark.parametrize(
    ("lane", "package", "extra"),
    [
        ("kafka://broker/x", "confluent_kafka", "flower-v6[kafka]"),
        ("folder:/x", "fsspec.core", "flower-v6[folder]"),
    ],
)
def test_a_package_that_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, lane: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        open_mailbox(lane, "north", at_station=True)
    assert extra in caught.value.hint


def test_the_package_for_ssh_is_missed_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sshfs", None)
    mailbox = FolderMailbox("sftp://host/x", "north", at_station=True)
    with pytest.raises(UsageError, match="need the package sshfs"):
        mailbox.check()
