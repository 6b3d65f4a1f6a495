"""The command flower-v6: what it says, what it leaves behind, and what it does not."""

import http.server
import io
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.runs.on_superlink import SuperLinkRun
from algorithm.runs.run import run_app
from algorithm.runs.stations import LocalStations, local_stations
from integration_tests.harness import (
    APPS,
    COMMAND,
    PATIENCE_SECONDS,
    alive,
    descendants,
    flower_v6,
    run_config,
    start,
    wait_until,
    with_command_line,
)
from proxy.errors import FlowerError
from proxy.tapes.replay import replay
from proxy.tapes.tape import read_tape


def test_a_run_from_inside_an_app_that_calls_its_modules_as_we_do(tmp_path: Path) -> None:
    """Packages called `proxy` and `algorithm` in the current folder are the app's, not ours."""
    app = tmp_path / "shadow"
    shutil.copytree(APPS / "shadow", app)
    before = {path: path.read_bytes() for path in app.rglob("*") if path.is_file()}

    tape = tmp_path / "shadow.tape"
    options = ("--json", "--tape", str(tape), "--run-config", "num-server-rounds=1")
    ended = flower_v6("run", ".", *options, cwd=app)

    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["status"] == "completed"
    assert report["stations"] == ["station-1", "station-2"]
    assert {(each["station"], each["message_type"]) for each in report["messages"]} == {
        (station, message_type)
        for station in report["stations"]
        for message_type in ("train", "evaluate")
    }
    # The app travels once to each station.
    assert sum(each["fab_bytes"] > 0 for each in report["messages"]) == len(report["stations"])
    # What the ServerApp writes to a relative path is where the caller stands; the app is as it was.
    assert (app / "shadow-result.npz").exists()
    assert all(path.read_bytes() == content for path, content in before.items())
    # What it said to the SuperLink is what a SuperNode would have.
    replayed = replay(read_tape(tape))
    assert (replayed.nodes, replayed.messages, replayed.skipped) == (2, 4, 0)


def test_a_failing_serverapp_fails_the_run_and_its_exception_is_shown(tmp_path: Path) -> None:
    ended = flower_v6(
        *("run", str(APPS / "faults"), "--output", str(tmp_path / "output")),
        *("--run-config", run_config(server_fail=True, result=tmp_path / "result.json")),
    )
    assert ended.returncode == 1
    assert "RuntimeError: the server app failed on purpose" in ended.stderr
    report = json.loads((tmp_path / "output" / "run.json").read_text())
    assert report["status"] == "failed"
    assert "the server app failed on purpose" in report["cause"]
    assert {path.name for path in (tmp_path / "output").iterdir()} >= {
        "run.json",
        "serverapp.log",
        "superlink.log",
        "station-1-functions.log",
        "station-1-supernode.log",
    }


def test_an_app_that_does_not_import_fails_the_run() -> None:
    ended = flower_v6("run", str(APPS / "broken" / "broken_import"))
    assert ended.returncode == 1
    assert "a_module_that_does_not_exist" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "no-such-app"], "There is no app at no-such-app"),
        (["run", str(APPS / "broken" / "not_flower")], "names no serverapp and clientapp"),
        (["run", str(APPS)], "has no pyproject.toml"),
        (
            ["run", str(APPS / "shadow"), "--node-config", "a=1"],
            "2 stations but 1 node configs",
        ),
        (
            ["run", str(APPS / "shadow"), "--stations", "1", "--node-config", "device=cpu"],
            "The node config 'device=cpu' is not valid",
        ),
        (
            ["run", str(APPS / "shadow"), "--flower-env", "no-such-environment"],
            "Flower is not installed in",
        ),
        (
            ["run", str(APPS / "shadow"), "--run-config", "no-such-key=1"],
            "Flower did not accept the app",
        ),
        (["attach", "--superlink", "127.0.0.1:9"], "No SuperLink answers at 127.0.0.1:9"),
    ],
)
def test_a_mistake_gets_one_clear_error(arguments: list[str], complaint: str) -> None:
    ended = flower_v6(*arguments)
    assert ended.returncode == 1
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_server_that_is_no_superlink_gets_one_clear_error() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = flower_v6("attach", "--superlink", f"127.0.0.1:{server.server_port}")
        server.shutdown()
    assert ended.returncode == 1
    assert "Check that it is a SuperLink" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_gets_one_clear_error(
    flower: Flower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No free port is free for ever: somebody may take it before the SuperLink does."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        taken = {"fleet": address, "fleet_port": str(server.server_port)}
        monkeypatch.setattr("algorithm.flower.environment._free_addresses", lambda: taken)
        outcome = Outcome("shadow", flower.release, "warm", [])
        stations = LocalStations(local_stations(1, []), flower, deadline=60.0, warm=False)
        screen = Screen(io.StringIO())
        run = SuperLinkRun(APPS / "shadow", flower, tmp_path, screen, outcome, stations, [])
        with pytest.raises(FlowerError, match="address already in use"):
            run_app(run)
        server.shutdown()
    assert outcome.status == "failed"
    assert "address already in use" in outcome.cause


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        (signal.SIGINT, "bridge"),
        (signal.SIGTERM, "bridge"),
        (signal.SIGKILL, "bridge"),
        (signal.SIGINT, "direct"),
        (signal.SIGKILL, "direct"),
    ],
)
def test_nothing_outlives_a_run_however_it_ends(
    number: signal.Signals, mode: str, tmp_path: Path
) -> None:
    temporary, working = tmp_path / "tmp", [tmp_path / "0-1", tmp_path / "1-1"]
    temporary.mkdir()
    config = run_config(
        pid_dir=tmp_path,
        sleep_seconds=600.0,
        sleep_partition=0,
        result=tmp_path / "result.json",
    )
    command = start(
        *("run", str(APPS / "faults"), "--run-config", config),
        *("--mode", mode, "--output", str(tmp_path / "output")),
        log=tmp_path / "run.log",
        environment={"TMPDIR": str(temporary)},
    )
    try:
        # Before, a killed Flower may leave the folder in which it unpacks the app.
        wait_until(lambda: all(path.exists() for path in working), "both ClientApps work")
        (main,) = with_command_line(descendants(os.getpid()), f"{COMMAND} run")
        below = descendants(main)
        os.kill(main, number)
        wait_until(lambda: not alive({main, *below}), "all processes have ended")
        wait_until(lambda: not any(temporary.iterdir()), "all temporary files are gone")
        assert command.wait(PATIENCE_SECONDS)
        assert command.exit_code == 128 + number
    finally:
        command.stop()
    if number != signal.SIGKILL:
        report = json.loads((tmp_path / "output" / "run.json").read_text())
        assert report["status"] == "cancelled"
