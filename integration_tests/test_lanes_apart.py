"""Central and station reach nothing but the lane's broker or server, and that not always."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.tests.resident import Residents
from integration_tests.apart import CENTRAL, STATION, Apart, apart
from integration_tests.harness import APPS, COMMAND, finish, free_port, run_config, wait_until
from integration_tests.lanes import (
    environment,
    kafka_broker,
    s3_server,
    ssh_server,
    webdav_server,
)
from integration_tests.test_failures import Disturbed
from proxy.system.process import Process

pytestmark = pytest.mark.thorough
CUT_SECONDS = 30.0
LANES = ("kafka", "sftp", "s3", "webdav", "folder", "https")


@dataclass(frozen=True)
class Between:
    """What central and station have between them.

    Attributes
    ----------
    net : Apart
        The network.
    lane : str
        The lane's URL.
    variables : Mapping[str, str]
        What both ends need in their environment.
    central : str
        Where the central is: where nobody can call it, or in the hub for the lane that is called.
    share : Path | None
        A mounted folder: no network, so a file takes its place when it is cut.
    """

    net: Apart
    lane: str
    variables: Mapping[str, str] = field(default_factory=dict)
    central: str = CENTRAL
    share: Path | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        return environment(**self.variables)

    def cut(self) -> None:
        """Let the station reach nothing."""
        if self.share is not None:
            self.share.rename(self.share.with_suffix(".away"))
            self.share.touch()
        else:
            self.net.cut(STATION)

    def join(self) -> None:
        """Let it reach the lane again."""
        if self.share is not None:
            self.share.unlink()
            self.share.with_suffix(".away").rename(self.share)
        else:
            self.net.join(STATION)


@pytest.fixture
def between(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Between]:
    with ExitStack() as stack:
        net = stack.enter_context(apart())
        inside = net.inside("hub")
        match request.param:
            case "sftp":
                server = ssh_server(tmp_path / "sshd", net.address, inside)
                sshd = stack.enter_context(server)
                yield Between(net, f"folder:{sshd.url}", {"HOME": str(sshd.home)})
            case "s3":
                s3 = stack.enter_context(s3_server(tmp_path, net.address, inside))
                made_bucket = (
                    f"import fsspec; fsspec.filesystem('s3', **{s3!r}).mkdir('bucket-of-lanes')"
                )
                subprocess.run([*inside, sys.executable, "-c", made_bucket], check=True)
                yield Between(net, "folder:s3://bucket-of-lanes/a", {"FSSPEC_S3": json.dumps(s3)})
            case "webdav":
                webdav = stack.enter_context(webdav_server(tmp_path, net.address, inside))
                yield Between(net, "folder:webdav://lanes", {"FSSPEC_WEBDAV": json.dumps(webdav)})
            case "folder":
                share = tmp_path / "share"
                share.mkdir()
                yield Between(net, f"folder:{share}", share=share)
            case "kafka":
                made = kafka_broker(tmp_path / "kafka", net.address, inside)
                broker = stack.enter_context(made)
                if not broker.ours:
                    pytest.skip("the broker that is named is not between the namespaces")
                lane = f"kafka://{broker.address}/apart"
                make = [*inside, COMMAND, "kafka", "topics", "--lane", f"north={lane}", "--make"]
                subprocess.run(make, check=True, capture_output=True)
                yield Between(net, lane)
            case _:
                yield Between(net, f"https://{net.address}:{free_port()}", central="hub")


def start_run(between: Between, residents: Residents, config: dict[str, object]) -> Process:
    command = [*between.net.inside(between.central), COMMAND, "run", str(APPS / "faults")]
    command += ["--mode", "direct", *residents.options, "--run-config", run_config(**config)]
    return Process(command, between.environment, residents.folder / "run.log", grace=20.0)


def reachable(between: Between, place: str, address: str) -> bool:
    """Return whether one place answers another one at all."""
    look = f"import socket; socket.create_connection(({address!r}, 9), 2)"
    command = [*between.net.inside(place), "python3", "-c", look]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return "ConnectionRefusedError" in ended.stderr  # by whoever is there


@pytest.mark.parametrize(
    "between", ["kafka", "sftp", "s3", "webdav", "folder", "https"], indirect=True
)
def test_with_nothing_but_the_lane_between_them_a_cut_of_30_seconds_costs_time_only(
    between: Between, flower: Flower, tmp_path: Path
) -> None:
    """The station's link is cut while its ClientApp works, which is done meanwhile."""
    assert not reachable(between, CENTRAL, "10.77.2.2")
    assert not reachable(between, STATION, "10.77.1.2")
    assert reachable(between, STATION, between.net.address)
    residents = Residents(tmp_path, between.lane, ("north",), flower.folder)
    residents.prefix = between.net.inside(STATION)
    journal, result = tmp_path / "journal", tmp_path / "result.json"
    config = {"journal": journal, "pid_dir": tmp_path, "result": result, "hold": "0-2"}
    with residents.running(between.environment):
        run = start_run(between, residents, {**config, "num_stations": 1})
        wait_until((tmp_path / "0-2").exists, "the ClientApp works")
        between.cut()
        (tmp_path / "0-2.go").touch()
        time.sleep(CUT_SECONDS)  # the cut itself: nothing tells when it is over
        between.join()
        finish(run)
    assert run.exit_code == 0, run.log_tail(40)
    for number in (1, 2, 3):
        (reply,) = Disturbed(tmp_path).replies(number)
        assert reply["error"] is None, reply
    trained = [line.split()[0] for line in journal.read_text().splitlines()]
    assert len(trained) == len(set(trained)) == 3
