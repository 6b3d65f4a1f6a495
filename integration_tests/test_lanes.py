"""Resident stations: what their lanes stand on keeps its promise, and apps end as natively."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from algorithm.flower.environment import Flower
from algorithm.tests.resident import Residents
from integration_tests.harness import (
    Direct,
    Federation,
    attached_federation,
    native_federation,
    run_on,
    wait_until,
)
from integration_tests.lanes import (
    KAFKA_VARIABLE,
    Broker,
    SshServer,
    Tansu,
    kafka_broker,
)
from integration_tests.stages import EVERY, NAMES, Stage
from integration_tests.test_results import arrays, values
from proxy.lanes.mailboxes.folder import FolderMailbox
from proxy.lanes.mailboxes.kafka import KafkaMailbox
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable
from proxy.lanes.mailboxes.tests.mailboxes import Made, MailboxContract, letter, taken
from proxy.tests.helpers import noise


@pytest.fixture
def sftp(sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Mailboxes in an empty folder of the SSH server."""
    monkeypatch.setenv("HOME", str(sshd.home))
    shutil.rmtree(sshd.folder / "share", ignore_errors=True)
    return lambda at_station: FolderMailbox(sshd.url, "north", at_station)


class TestSftp(MailboxContract):
    @pytest.fixture
    def made(self, sftp: Made) -> Made:
        return sftp


class TestS3(MailboxContract):
    @pytest.fixture
    def made(self, s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Made:
        monkeypatch.setitem(fsspec.config.conf, "s3", s3)
        bucket = f"bucket-{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(bucket)
        return lambda at_station: FolderMailbox(f"s3://{bucket}/lanes", "north", at_station)


class TestWebdav(MailboxContract):
    @pytest.fixture
    def made(self, webdav: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Made:
        monkeypatch.setitem(fsspec.config.conf, "webdav", webdav)
        folder = uuid.uuid4().hex
        return lambda at_station: FolderMailbox(f"webdav://{folder}", "north", at_station)


class TestKafka(MailboxContract):
    @pytest.fixture
    def made(self, broker: Broker) -> Made:
        url = broker.lane("north").removeprefix("kafka:")
        return lambda at_station: KafkaMailbox(url, "north", at_station)


@pytest.fixture(scope="module")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with kafka_broker(tmp_path_factory.mktemp("tansu") / "data", kind=Tansu) as broker:
        yield broker


class TestTansu(MailboxContract):
    @pytest.fixture
    def made(self, tansu: Broker) -> Made:
        if not tansu.ours:
            pytest.skip(f"{KAFKA_VARIABLE} names the broker of these tests")
        url = tansu.lane("north").removeprefix("kafka:")
        return lambda at_station: KafkaMailbox(url, "north", at_station)

    @pytest.mark.skip(reason="this broker deletes no records, and retention takes its time")
    def test_what_is_wiped_does_not_arrive_and_what_follows_does(self) -> None:  # type: ignore[override]
        """Where records cannot be deleted, both ends know old letters by what they name."""


def test_a_broker_that_was_away_is_used_again(broker: Broker, tmp_path: Path) -> None:
    if not broker.ours:
        pytest.skip(f"{KAFKA_VARIABLE} names a broker that is not for us to stop")
    url = broker.lane("north").removeprefix("kafka:")
    central, station = (KafkaMailbox(url, "north", at_station) for at_station in (False, True))
    central.send(letter(tmp_path, b"before"))
    assert taken(station, tmp_path) == b"before"
    broker.stop()
    assert station.receive(tmp_path / "got", 1.0) is None
    broker.start()
    central.send(letter(tmp_path, b"after"))
    assert taken(station, tmp_path) == b"after"


def test_topics_that_nobody_made_are_said(broker: Broker) -> None:
    station = KafkaMailbox(f"//{broker.address}/nobodys", "north", at_station=True)
    with pytest.raises(MailboxUnreachable, match=r"nobodys\.north\.to-"):
        station.check()


def test_a_letter_of_many_records_arrives_whole_and_leaves_none(
    broker: Broker, tmp_path: Path
) -> None:
    lane = broker.lane("north")
    url = lane.removeprefix("kafka:")
    central, station = (KafkaMailbox(url, "north", at_station) for at_station in (False, True))
    central.send(letter(tmp_path, noise(20_000_000)))
    assert broker.records(lane, "north") > 20
    assert taken(station, tmp_path) == noise(20_000_000)
    wait_until(lambda: broker.records(lane, "north") == 0, "the records are deleted")


def test_a_server_that_was_away_is_used_again(sshd: SshServer, sftp: Made, tmp_path: Path) -> None:
    central, station = sftp(False), sftp(True)
    central.send(letter(tmp_path, b"before"))
    assert taken(station, tmp_path) == b"before"
    sshd.stop()
    with pytest.raises(MailboxUnreachable):
        central.send(letter(tmp_path, b"meanwhile"))
    with pytest.raises(MailboxUnreachable):
        station.receive(tmp_path / "got", 5.0)
    sshd.start()
    central.send(letter(tmp_path, b"after"))
    assert taken(station, tmp_path) == b"after"


def test_a_server_whose_key_is_not_known_gets_nothing(
    sshd: SshServer, sftp: Made, tmp_path: Path
) -> None:
    known = sshd.home / ".ssh/known_hosts"
    with_key = known.read_text()
    known.write_text("")
    try:
        with pytest.raises(MailboxUnreachable, match="HostKeyNotVerifiable"):
            sftp(False).send(letter(tmp_path, b"secret"))
    finally:
        known.write_text(with_key)
    assert not (sshd.folder / "share").exists()


@pytest.fixture
def residents(flower: Flower, stage: Stage, tmp_path: Path) -> Iterator[Residents]:
    """Two resident stations, which run."""
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    with residents.running(stage.environment):
        yield residents


STAGES = [EVERY[0], *(pytest.param(each, marks=pytest.mark.thorough) for each in EVERY[1:])]


@pytest.mark.parametrize("stage", STAGES, indirect=True)
def test_apps_end_as_natively_in_both_modes(
    native: Federation, stage: Stage, residents: Residents, flower: Flower, tmp_path: Path
) -> None:
    """In turn on the same two stations, which stay."""
    (digits,) = run_on([native], "digits", ".npz", model=tmp_path / "m", num_server_rounds=1)
    (state,) = run_on([native], "stateful", ".json", num_server_rounds=1)

    def check(federation: Federation | Direct) -> None:
        path = tmp_path / "model"
        (npz,) = run_on([federation], "digits", ".npz", model=path, num_server_rounds=1)
        (json,) = run_on([federation], "stateful", ".json", num_server_rounds=1)
        assert arrays(npz) == arrays(digits)
        assert values(json) == values(state)

    options = residents.options
    with attached_federation(
        flower, tmp_path / "bridge", *options, environment=stage.environment
    ) as bridged:
        check(bridged)
    check(Direct(flower, tmp_path, options, stage.environment))
    wait_until(lambda: stage.left() == 0, "nothing is left on the lane")


@pytest.mark.thorough
@pytest.mark.parametrize("stage", EVERY, indirect=True)
def test_secure_aggregation_and_exceptions_end_as_natively_in_both_modes(
    stage: Stage, flower: Flower, native: Federation, tmp_path: Path
) -> None:
    """SecAgg+ wants three stations; sums of three floats are the same to the bit only there."""
    with native_federation(flower, tmp_path / "native", ["", "", ""]) as three:
        (masked,) = run_on([three], "secagg", ".npz")
    (raised,) = run_on([native], "raising", ".json", num_server_rounds=2)
    residents = Residents(tmp_path, stage.lane, NAMES, flower.folder)
    two = residents.of("north", "south")

    def check(ends: Residents, app: str, suffix: str, **config: object) -> list[Path]:
        with attached_federation(
            flower, tmp_path / f"bridge-{app}", *ends.options, environment=stage.environment
        ) as bridged:
            results = run_on([bridged], app, suffix, **config)
        direct = Direct(flower, tmp_path, ends.options, stage.environment)
        return results + run_on([direct], app, suffix, **config)

    with residents.running(stage.environment):
        for npz in check(residents, "secagg", ".npz"):
            assert arrays(npz) == arrays(masked)
    with two.running(stage.environment):
        for json in check(two, "raising", ".json", num_server_rounds=2):
            assert values(json) == values(raised)
    wait_until(lambda: stage.left() == 0, "nothing is left on the lane")
