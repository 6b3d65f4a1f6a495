"""What names a lane in Kafka; `integration_tests/test_lanes.py` has it on a broker."""

import sys
from pathlib import Path

import pytest

from proxy.errors import UsageError
from proxy.lanes.mailboxes.folder import FolderMailbox
from proxy.lanes.urls import open_mailbox


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


def test_settings_that_the_client_does_not_know_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Error(Exception):
        def str(self) -> str:
            return 'No such configuration property: "security.protocl"'

    class FakeKafka:
        """What confluent-kafka 2.16 does where it is installed."""

        KafkaException = Error

        def Consumer(self, settings: dict[str, object]) -> None:  # noqa: N802 - its name
            assert settings["security.protocl"] == "SSL"
            raise Error(Error())

    (tmp_path / "settings").write_text("security.protocl=SSL")
    monkeypatch.setattr("proxy.lanes.mailboxes.kafka_client._confluent_kafka", FakeKafka)
    url = f"kafka://broker/x?properties={tmp_path}/settings"
    with pytest.raises(UsageError, match=r"does not take the settings.*security\.protocl"):
        open_mailbox(url, "north", at_station=True).check()


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
