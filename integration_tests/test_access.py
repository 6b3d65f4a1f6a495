"""Who may reach what runs, and what an app sees of it: real processes, and a second user."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    APPS,
    COMMAND,
    PATIENCE_SECONDS,
    Federation,
    descendants,
    finish,
    installed,
    run_config,
    start,
    superlink,
    wait_until,
    with_command_line,
)
from proxy.calls import Mode
from proxy.tests.helpers import NOBODYS_UID, as_another_user, needs_root

NEWEST = "the installed one"
SECRET = "the-secret"  # noqa: S105
# Says of each port in its arguments whether it answered anything but "you may not".
PROBE = """
import sys, grpc, http.client
SERVICES = ["Fleet/PullMessages", "Control/ListRuns", "Exec/ListRuns", "ServerAppIo/PullTaskIns",
    "ServerAppIo/GetNodes", "ClientAppIo/RequestToken", "ClientAppIo/GetToken",
    "ClientAppIo/PullMessage", "SimulationIo/PullSimulationInputs", "Runtime/AcquireTask"]
REFUSALS = {"PERMISSION_DENIED", "UNIMPLEMENTED", "UNAVAILABLE"}

def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return f"HTTP {connection.getresponse().status}"
    except http.client.BadStatusLine as error:
        if not error.line.strip("'"):
            return ""
    except OSError:
        return ""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)])
    for service in SERVICES:
        try:
            channel.unary_unary(f"/flwr.proto.{service}")(b"", timeout=30)
            return service
        except grpc.RpcError as error:
            if error.code().name not in REFUSALS:
                return f"{service}: {error.code().name}"
    return ""

for port in sys.argv[1:]:
    print(port, answers(int(port)))
"""


def environment_of(name: str, flower: Flower) -> Flower:
    return flower if name == NEWEST else installed(name)


def listening(pids: set[int]) -> set[int]:
    """Return the ports at which processes listen; one of them may end meanwhile."""
    ports = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            connections = psutil.Process(pid).net_connections("tcp")
            ports |= {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
    return ports


def probed(ports: set[int], *, foreign: bool) -> dict[str, str]:
    """Return what ports answer to us, or to another user, without those that say nothing."""
    call = [sys.executable, "-c", PROBE, *map(str, ports)]
    output = subprocess.run(
        as_another_user(*call) if foreign else call,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    ).stdout
    pairs = (line.split(" ", 1) for line in output.splitlines())
    return {port: answer for port, answer in pairs if answer}


def written(path: Path) -> bool:
    return path.exists() and bool(path.read_text())


@needs_root
@pytest.mark.parametrize(
    "release",
    [
        NEWEST,
        # From all over gRPC to nothing but the Fleet API over gRPC.
        *(
            pytest.param(each, marks=pytest.mark.thorough)
            for each in ("1.22.0", "1.32.1", "1.34.0", "1.39.0")
        ),
    ],
)
def test_nothing_that_a_run_listens_at_answers_another_user(
    release: str, flower: Flower, tmp_path: Path
) -> None:
    used = environment_of(release, flower)
    # A ClientApp waits in the middle of it: all processes are there.
    config = {"hold": "0-1", "journal": tmp_path / "journal", "result": tmp_path / "result"}
    run = start(
        *("run", str(APPS / "faults"), "--flower-env", str(used.folder)),
        *("--tape", str(tmp_path / "tape")),
        *("--run-config", run_config(num_server_rounds=1, **config)),
        log=tmp_path / "run.log",
    )
    with ExitStack() as stack:
        stack.callback(run.stop)
        wait_until(
            lambda: written(tmp_path / "journal") or not run.running, "a ClientApp has a message"
        )
        assert run.running, run.log_tail(40)
        (main,) = with_command_line(descendants(os.getpid()), f"{COMMAND} run")
        ports = listening({main, *descendants(main)})
        assert probed(ports, foreign=True) == {}
        # They would have answered us, each of them.
        assert probed(ports, foreign=False).keys() == set(map(str, ports))
        # A SuperLink, what records it, two ClientProxies, two SuperNodes.
        assert len(ports) >= 6
        (tmp_path / "0-1.go").touch()
        finish(run)
    assert run.exit_code == 0, run.log_tail(40)


@needs_root
def test_another_user_runs_no_app_in_our_superlink(flower: Flower, tmp_path: Path) -> None:
    with superlink(flower, tmp_path / "federation") as federation:
        theirs = submitted(federation, tmp_path / "theirs", foreign=True)
        assert theirs.returncode != 0
        assert runs_of(federation, tmp_path / "before") == []
        ours = submitted(federation, tmp_path / "ours", foreign=False)
        assert ours.returncode == 0, ours.stdout + ours.stderr
        assert len(runs_of(federation, tmp_path / "after")) == 1


def submitted(
    federation: Federation, folder: Path, *, foreign: bool
) -> subprocess.CompletedProcess[str]:
    """Submit an app as a user who starts with an empty environment; returns what was said."""
    folder.mkdir()
    if foreign:
        os.chown(folder, NOBODYS_UID, NOBODYS_UID)
    home = folder / "flwr"
    home.mkdir()
    federation.flower.name_superlink("found", federation.control, home, APPS / "queries")
    call = federation.flower.command("flwr", "run", str(APPS / "queries"), "found")
    return subprocess.run(
        as_another_user(*call) if foreign else call,
        cwd=folder,
        env={"PATH": os.defpath, "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def runs_of(federation: Federation, home: Path) -> list[Any]:
    """Return what the SuperLink says of its runs, with a new folder for a Flower home."""
    home.mkdir()
    federation.flower.name_superlink("ours", federation.control, home, APPS / "queries")
    listing = subprocess.run(
        federation.flower.list_runs("ours", APPS / "queries"),
        env=dict(federation.flower.environment(home)),
        capture_output=True,
        text=True,
        check=True,
    )
    runs: list[Any] = json.loads(listing.stdout)["runs"]
    return runs


# What an app sees.


@pytest.fixture(scope="module", params=Mode)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What an app saw of a run whose user has a password, in the environment and for a database."""
    folder = tmp_path_factory.mktemp(f"seen-{request.param}")
    result = folder / "result.json"
    config = folder / "station.toml"
    config.write_text(f'database-password = "{SECRET}"\npartition-id = 0\n')
    call = [
        *(COMMAND, "run", str(APPS / "nosy"), "--mode", request.param, "--stations", "1"),
        *("--node-config", str(config)),
        *("--run-config", run_config(num_stations=1, result=result)),
    ]
    if os.geteuid() == 0:
        # Root reads everything: what is said here is for everybody else.
        os.chown(folder, NOBODYS_UID, NOBODYS_UID)
        call = as_another_user(*call)
    ended = subprocess.run(
        call,
        cwd=folder,
        env={**os.environ, **OURS, "CUDA_VISIBLE_DEVICES": "7", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_SECONDS,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(result.read_text())


OURS: Mapping[str, str] = {
    "FLOWER_V6_PASSWORD": SECRET,
    "FLOWER_V6_USERNAME": "me",
    "CONTAINER_TOKEN": SECRET,
}
NOT_FOR_APPS = {"INPUT_FILE", "OUTPUT_FILE", "TOKEN_FILE", "TEMPORARY_FOLDER", "CONTAINER_TOKEN"}


def test_no_app_finds_our_variables_in_its_environment(seen: Any) -> None:
    for where in (seen["server"], *seen["stations"]):
        assert not [name for name in where["variables"] if name.startswith("FLOWER_V6_")]
        assert NOT_FOR_APPS.isdisjoint(where["variables"])


def test_an_app_finds_the_rest_of_its_users_environment(seen: Any) -> None:
    for where in (seen["server"], *seen["stations"]):
        assert {"PATH", "CUDA_VISIBLE_DEVICES"} <= set(where["variables"])


def test_no_process_shows_a_password_in_its_environment_or_arguments(seen: Any) -> None:
    for where in (seen["server"], *seen["stations"]):
        assert where["telling"] == []


def test_a_client_app_has_its_node_config(seen: Any) -> None:
    (station,) = seen["stations"]
    assert station["config database-password"] == SECRET
