"""Resident stations: what their lanes stand on keeps its promise, and apps end as natively."""

import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from algorithm.flower.environment import Flower
from algorithm.tests.resident import Residents
from integration_tests.harness import (
    COMMAND,
    Direct,
    Federation,
    alive,
    attached_federation,
    descendants,
    finish,
    free_port,
    native_federation,
    run_on,
    wait_until,
    with_command_line,
)
from integration_tests.lanes import (
    KAFKA_VARIABLE,
    Broker,
    SshServer,
    environment,
    kafka_broker,
    s3_server,
    ssh_server,
    webdav_server,
)
from integration_tests.test_failures import Disturbed
from integration_tests.test_results import arrays, values
from proxy.fleet.messages import ErrorCode
from proxy.lanes.folder import FolderMailbox
from proxy.lanes.kafka import KafkaMailbox
from proxy.lanes.mailbox import MailboxUnreachable
from proxy.lanes.tests.mailboxes import Made, MailboxContract, letter, taken
from proxy.system.process import Process
from proxy.tests.helpers import noise


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


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


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


class TestS3(MailboxContract):
    @pytest.fixture
    def made(self, s3: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Made:
        monkeypatch.setitem(fsspec.config.conf, "s3", s3)
        bucket = f"bucket-{uuid.uuid4().hex}"
        fsspec.filesystem("s3").mkdir(bucket)
        return lambda at_station: FolderMailbox(f"s3://{bucket}/lanes", "north", at_station)


@pytest.fixture(scope="module")
def webdav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with webdav_server(tmp_path_factory.mktemp("webdav")) as settings:
        yield settings


class TestWebdav(MailboxContract):
    @pytest.fixture
    def made(self, webdav: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Made:
        monkeypatch.setitem(fsspec.config.conf, "webdav", webdav)
        folder = uuid.uuid4().hex
        return lambda at_station: FolderMailbox(f"webdav://{folder}", "north", at_station)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with kafka_broker(tmp_path_factory.mktemp("kafka") / "data") as broker:
        yield broker


class TestKafka(MailboxContract):
    @pytest.fixture
    def made(self, broker: Broker) -> Made:
        url = broker.lane("north").removeprefix("kafka:")
        return lambda at_station: KafkaMailbox(url, "north", at_station)


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


@dataclass(frozen=True)
class Stage:
    """What a lane stands on.

    Attributes
    ----------
    lane : str
        Its URL.
    environment : Mapping[str, str]
        What processes at both ends need.
    left : Callable[[], int]
        How many letters lie there.
    """

    lane: str
    environment: Mapping[str, str]
    left: Callable[[], int]


@pytest.fixture
def local_folder(tmp_path: Path) -> Stage:
    share = tmp_path / "share"
    return Stage(f"folder:{share}", environment(), lambda: files_below(share))


@pytest.fixture
def sftp_folder(sshd: SshServer) -> Stage:
    share = sshd.folder / "share"
    shutil.rmtree(share, ignore_errors=True)
    home = environment(HOME=str(sshd.home))
    return Stage(f"folder:{sshd.url}", home, lambda: files_below(share))


@pytest.fixture
def kafka_topics(broker: Broker) -> Stage:
    lane = broker.lane(*NAMES)
    return Stage(lane, environment(), lambda: broker.records(lane, *NAMES))


@pytest.fixture
def https_server(tmp_path: Path) -> Stage:
    """Nothing lies in between: letters are in the central's temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = environment(TMPDIR=str(temporary))
    return Stage(f"https://127.0.0.1:{free_port()}", variables, lambda: files_below(temporary))


def files_below(folder: Path) -> int:
    return len([path for path in folder.rglob("*") if path.is_file()])


@pytest.fixture
def residents(flower: Flower, stage: Stage, tmp_path: Path) -> Iterator[Residents]:
    """Two resident stations, which run."""
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    with residents.running(stage.environment):
        yield residents


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    made: Stage = request.getfixturevalue(request.param)
    return made


NAMES = ("north", "south", "west")
ALL = ("local_folder", "sftp_folder", "kafka_topics", "https_server")
STAGES = (
    "local_folder",
    pytest.param("sftp_folder", marks=pytest.mark.thorough),
    pytest.param("kafka_topics", marks=pytest.mark.thorough),
    pytest.param("https_server", marks=pytest.mark.thorough),
)


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
@pytest.mark.parametrize("stage", ALL, indirect=True)
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


@pytest.mark.thorough
@pytest.mark.parametrize("stage", ALL, indirect=True)
def test_a_station_that_is_killed_in_training_costs_one_error_reply(
    flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    disturbed = Disturbed(tmp_path)
    with residents.running(stage.environment) as stations:
        run = Direct(flower, tmp_path, residents.options, stage.environment).submit(
            "faults", **disturbed.config
        )
        disturbed.hanging_clientapp()
        kill(stations["north"])
        stations["north"] = residents.start("north", stage.environment)
        finish(run)
    disturbed.check(ErrorCode.MESSAGE_UNAVAILABLE)


@pytest.mark.thorough
@pytest.mark.parametrize("stage", ALL, indirect=True)
def test_the_work_for_a_central_that_was_killed_ends_and_the_next_one_is_answered(
    flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    disturbed = Disturbed(tmp_path)
    with residents.running(stage.environment):
        direct = Direct(flower, tmp_path, residents.options, stage.environment)
        run = direct.submit("faults", **disturbed.config)
        hanging = disturbed.hanging_clientapp()
        kill(run)
        (result,) = run_on([direct], "stateful", ".json", num_server_rounds=1)
        assert values(result)["evaluate"]["1"] == [2, 2]
        assert not alive({hanging})
    trained = [line.split()[0] for line in (tmp_path / "journal").read_text().splitlines()]
    assert len(trained) == len(set(trained))
    wait_until(lambda: stage.left() == 0, "nothing is left on the lane")


@pytest.mark.thorough
@pytest.mark.parametrize("stage", ALL, indirect=True)
def test_of_two_stations_with_one_name_key_and_lane_one_trains_and_both_ends_say_so(
    flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    twin = residents.file("twin")
    twin.write_text(residents.file("north").read_text().replace('folder = "north"', 'folder = "t"'))
    run = Direct(flower, tmp_path, residents.options, stage.environment)
    with residents.running(stage.environment):
        second = residents.start("twin", stage.environment)
        (result,) = run_on([run], "stateful", ".json", num_server_rounds=3)
        second.stop()
    assert values(result)["evaluate"]["3"] == [6, 6]
    there = [folder for folder in ("north", "t") if any((tmp_path / folder / "taken").iterdir())]
    assert len(there) == 1


@pytest.mark.parametrize("stage", ["sftp_folder"], indirect=True)
def test_a_station_that_is_killed_in_training_while_its_lane_is_cut_costs_one_error_reply(
    sshd: SshServer, flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    disturbed = Disturbed(tmp_path)
    with residents.running(stage.environment) as stations:
        direct = Direct(flower, tmp_path, residents.options, stage.environment)
        run = direct.submit("faults", **disturbed.config)
        disturbed.hanging_clientapp()
        sshd.stop()
        kill(stations["north"])
        stations["north"] = residents.start("north", stage.environment)
        sshd.start()
        finish(run)
    disturbed.check(ErrorCode.MESSAGE_UNAVAILABLE)
    assert "does not train twice" in str(disturbed.replies(2)[0])


def kill(command: Process) -> None:
    """End the command's own process at once, as a power cut does."""
    for program in ("algorithm.cli", COMMAND):
        for pid in with_command_line(descendants(command._popen.pid), program):
            os.kill(pid, signal.SIGKILL)
    command.stop()
