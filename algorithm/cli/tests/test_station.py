"""The command flower-v6 station: what it checks, how it ends, and who reaches it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.cli import main
from algorithm.runs.lanes import LaneStations
from algorithm.tests.fake_flower import SUPERNODE, make_flower
from algorithm.tests.resident import Residents
from proxy.bundle import Bundle
from proxy.carriers import Carrier, Exchange
from proxy.errors import UsageError
from proxy.fleet.messages import ErrorCode
from proxy.tests.helpers import Drained, pid_in, runs, wait_until

SECONDS = 60.0
_ANALYZE = shutil.which("systemd-analyze")
ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
def residents(tmp_path: Path) -> Residents:
    flower = make_flower(tmp_path / "flower")
    (tmp_path / "share").mkdir()
    return Residents(tmp_path, f"folder:{tmp_path}/share", ("north",), flower)


@pytest.fixture
def carrier(residents: Residents) -> Iterator[Carrier]:
    stations = LaneStations({"north": residents.lane}, residents.keys, SECONDS)
    carrier = stations.carrier(residents.folder / "central")
    carrier.prepare("north", 7)
    yield carrier
    carrier.close()


def exchange(carrier: Carrier, folder: Path, sent: Drained) -> Bundle:
    instruction, reply = sent.write(folder / "instruction"), folder / "reply"
    carrier.exchange(
        "north",
        Exchange(
            *(sent.metadata.message_id, "train", instruction, reply, SECONDS, threading.Event())
        ),
    )
    return Bundle(reply)


def test_a_station_answers_what_comes_on_its_lane(residents: Residents, carrier: Carrier) -> None:
    with residents.running(ENVIRONMENT):
        assert wait_until(lambda: carrier.online("north"))
        for _ in range(2):
            with exchange(carrier, residents.folder, Drained()) as answer:
                assert answer.header.WhichOneof("content") == "reply"
    share = residents.folder / "share"
    assert not [path for path in share.rglob("*") if path.is_file()]


def test_a_station_that_is_told_to_end_answers_and_takes_its_supernode_with_it(
    residents: Residents, carrier: Carrier
) -> None:
    silent = SUPERNODE.replace("lambda c: c", "lambda c: __import__('time').sleep(3600)")
    (residents.folder / "flower/bin/flower-supernode").write_text(silent)
    station = residents.start("north", ENVIRONMENT)
    taken = residents.folder / "north/taken"

    def end() -> None:
        if wait_until(lambda: any(taken.iterdir())):
            station.stop()

    ending = threading.Thread(target=end)
    ending.start()
    with exchange(carrier, residents.folder, Drained()) as answer:
        assert answer.header.failure.code == ErrorCode.NODE_UNAVAILABLE
        assert "The station was stopped" in answer.header.failure.reason
    ending.join()
    assert station.exit_code == 128 + signal.SIGTERM
    assert not runs(pid_in(residents.folder / "north/flwr.pid"))


def test_a_second_process_is_refused_as_long_as_the_first_one_lives(
    residents: Residents, capsys: pytest.CaptureFixture[str]
) -> None:
    first = residents.start("north", ENVIRONMENT)
    assert main(["station", str(residents.file("north"))]) == 1
    assert "in use by another `flower-v6 station`" in capsys.readouterr().err
    first.stop()
    residents.start("north", ENVIRONMENT).stop()


def test_a_check_says_that_all_is_well(
    residents: Residents, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["station", "--check", str(residents.file("north"))]) == 0
    assert "Station north can serve" in capsys.readouterr().out


def test_a_password_in_a_lanes_url_is_not_shown(
    residents: Residents, capsys: pytest.CaptureFixture[str]
) -> None:
    file = residents.file("north")
    url = "folder:sftp://me:s3cret@127.0.0.1:1/share"
    file.write_text(file.read_text().replace(residents.lane, url))
    assert main(["station", "--check", str(file)]) == 1
    said = "".join(capsys.readouterr())
    assert "folder" in said
    assert "s3cret" not in said


def test_a_check_says_all_that_is_wrong(
    residents: Residents, capsys: pytest.CaptureFixture[str]
) -> None:
    (residents.keys / "central.pub").unlink()
    (residents.folder / "share").rmdir()
    (residents.folder / "share").write_text("no folder")
    file = residents.file("north")
    file.write_text(
        file.read_text().replace("/flower", "/nothing")
        + '[databases.default]\nuri = "missing.csv"\ntype = "csv"\n'
    )
    assert main(["station", "--check", str(file)]) == 1
    said = capsys.readouterr().out
    for problem in (
        "Flower is not installed in",
        "as flower-env in a station's file",
        "The database default is not there",
        "central.pub cannot be read",
        "share cannot be used",
    ):
        assert problem in said


def test_a_station_whose_central_is_itself_is_refused(
    residents: Residents, capsys: pytest.CaptureFixture[str]
) -> None:
    file = residents.file("north")
    file.write_text(file.read_text().replace("central.pub", "north.pub"))
    for options in ([], ["--check"]):
        assert main(["station", *options, str(file)]) == 1
        said = "".join(capsys.readouterr())
        assert "north.pub is this station's own public key, not the central's" in said


def test_keys_for_lanes_are_made_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    assert main(["keys", "--lane", "central", "north", "--output", str(keys)]) == 0
    made = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in made] == [
        str(keys / f"{name}.pub") for name in ("central", "north")
    ]
    assert main(["keys", "--show", str(keys / "north"), str(keys / "north.pub")]) == 0
    private, public = capsys.readouterr().out.splitlines()
    assert made[1] == public
    assert private.split()[1:] == public.split()[1:]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--lane", "north=folder:x"], "needs --lane-keys, or --unsealed"),
        (["--lane", "north=folder:x", "--unsealed", "--stations", "2"], "--stations cannot"),
        (["--lane", "north", "--unsealed"], "'north' is not a station and its lane"),
        (["--lane", "a,a=folder:x", "--unsealed"], "'a' has two lanes"),
        (["--lane", "a=carrier:pigeon", "--unsealed"], "'carrier:pigeon' is not a lane"),
        (["--lane", "a/b=folder:x", "--unsealed"], "cannot have the name 'a/b'"),
        (["--lane", "a=folder:x", "--unsealed", "--flower-env", "x"], "--flower-env cannot"),
        (["--lane", "a=folder:x", "--unsealed", "--vantage6", "i"], "--lane cannot"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attach", "--superlink", "127.0.0.1:1", *options]) == 1
    assert reason in capsys.readouterr().err


def test_a_station_whose_key_the_central_does_not_have_is_said(residents: Residents) -> None:
    stations = LaneStations({"south": residents.lane}, residents.keys, SECONDS)
    with pytest.raises(UsageError, match=r"south\.pub cannot be read"):
        stations.carrier(residents.folder / "central")


@pytest.mark.skipif(_ANALYZE is None, reason="systemd is not installed here")
def test_the_unit_for_systemd_is_sound_and_hardened(tmp_path: Path) -> None:
    unit = Path(__file__).parents[3] / "packaging/flower-v6-station.service"
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/opt/flower-v6/bin/flower-v6", sys.executable))
    for arguments in (("verify",), ("security", "--offline=true", "--threshold=20")):
        command = [str(_ANALYZE), *arguments, str(here)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
