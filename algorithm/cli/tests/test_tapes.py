"""`flower-v6 record` and `flower-v6 replay`, as commands."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.cli import main
from algorithm.tests.fake_flower import make_app, make_flower
from proxy.client import ClientProxy
from proxy.tapes.tape import TapeWriter, read_tape
from proxy.transport.connect import connect
from proxy.transport.server import FleetServer

PROGRAM = [sys.executable, "-P", "-u", "-m", "algorithm.cli"]


@pytest.fixture
def superlink() -> Iterator[FleetServer]:
    """What takes SuperNodes, as a SuperLink does."""
    server = FleetServer(ClientProxy(node_id=7), "http")
    yield server
    server.close()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let commands heed Ctrl-C, also where the tests themselves were started with nohup."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interruptible")
def test_a_recording_is_complete_when_it_is_stopped(
    superlink: FleetServer, number: signal.Signals, tmp_path: Path
) -> None:
    tape = tmp_path / "some.tape"
    options = ["--superlink", superlink.address, "--listen", "127.0.0.1:0", "--about", "a test"]
    with subprocess.Popen(
        [*PROGRAM, "record", *options, str(tape)], stdout=subprocess.PIPE, text=True
    ) as recorder:
        try:
            assert recorder.stdout is not None
            said = re.search(r"--superlink (\S+);", recorder.stdout.readline())
            assert said is not None
            node = connect(said[1])
            node.register()
            node.close()
            recorder.send_signal(number)
            assert recorder.wait(60) == 128 + number
        finally:
            recorder.kill()
    recorded = read_tape(tape)
    assert recorded.header.about == "a test"
    joining = ["RegisterNode", "ActivateNode", "SendNodeHeartbeat"]
    assert [call.method for call in recorded.calls] == joining


def test_a_run_records_itself_if_it_is_told_to(tmp_path: Path) -> None:
    tape = tmp_path / "some.tape"
    flower, app = make_flower(tmp_path / "flower"), make_app(tmp_path / "an app")
    options = ["--supernodes", "per-round", "--flower-env", str(flower), "--tape", str(tape)]
    assert main(["run", str(app), *options]) == 0
    recorded = read_tape(tape)
    assert recorded.header.about == "flwr 1.41.0; flower-v6 run an app"
    methods = [call.method for call in recorded.calls]
    assert [methods.count(each) for each in ("ActivateNode", "UnregisterNode")] == [2, 2]


def test_a_superlink_with_tls_is_not_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--root-certificates", "ca.crt", "--tape", str(tmp_path / "some.tape")]
    assert main(["attach", "--superlink", "127.0.0.1:9", *options]) == 1
    assert "--tape cannot be used with --root-certificates" in capsys.readouterr().err


def test_what_cannot_be_replayed_is_told_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, other = tmp_path / "empty.tape", tmp_path / "other.tape"
    TapeWriter(empty, "http", "nothing").close()
    other.write_text("something else")
    assert main(["replay", str(empty), str(other)]) == 1
    said = capsys.readouterr().out
    assert "empty.tape has no message with a complete reply" in said
    assert "other.tape is not a tape" in said
