"""The command flower-v6: what it refuses, and with which exit code."""

import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm import cli
from algorithm.tests.fake_flower import COMPLETED, make_app, make_flower, set_run
from proxy import __version__
from proxy.central.central_proxy import LINGER_SECONDS
from proxy.errors import UsageError
from proxy.testing import FakeSuperLink
from proxy.transport.server import FleetServer


@pytest.fixture(autouse=True)
def _as_if_in_a_process_of_its_own() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    loggers = logging.getLogger().handlers[:]
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
    logging.getLogger().handlers[:] = loggers


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said about a command line that is none; the exit code is 2, as everywhere."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said when it could not be done; the exit code is 1."""
    assert cli.main(arguments) == 1
    return capsys.readouterr().err


@pytest.fixture
def app(tmp_path: Path) -> str:
    return str(make_app(tmp_path / "an app"))


@pytest.fixture
def flower(tmp_path: Path) -> Path:
    return make_flower(tmp_path / "flower")


# Command lines that are none


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["train"], "train"),
        (["run"], "APP"),
        (["attach"], "--superlink"),
        (["run", "app", "--stations", "0"], "--stations"),
        (["run", "app", "--stations", "-1"], "--stations"),
        (["run", "app", "--stations", "two"], "--stations"),
        (["run", "app", "--stations", "1.5"], "--stations"),
        (["run", "app", "--deadline", "0"], "--deadline"),
        (["run", "app", "--deadline", "-1"], "--deadline"),
        (["run", "app", "--deadline", "inf"], "--deadline"),
        (["run", "app", "--deadline", "1e300"], "more than 2592000"),
        (["run", "app", "--deadline", "nan"], "--deadline"),
        (["run", "app", "--deadline", "soon"], "--deadline"),
        (["run", "app", "--supernodes", "hot"], "--supernodes"),
        (["run", "app", "--mode", "fast"], "--mode"),
        (["run", "app", "--no-such-option"], "--no-such-option"),
        (["run", "app", "another"], "another"),
    ],
)
def test_a_command_line_that_is_none_is_refused_naming_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in refused(capsys, *arguments)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_are_no_errors(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([option])
    assert caught.value.code == 0
    assert (__version__ if option == "--version" else "attach") in capsys.readouterr().out


# What cannot be done


def test_an_app_that_is_not_there_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = failed(capsys, "run", str(tmp_path / "nothing"))
    assert said.startswith("flower-v6: There is no app at")
    assert "pyproject.toml" in said


def test_node_configs_that_do_not_fit_the_stations_are_said(
    capsys: pytest.CaptureFixture[str], app: str
) -> None:
    said = failed(capsys, "run", app, "--stations", "2", "--node-config", "a=1")
    assert "2 stations but 1 node configs" in said


def test_a_node_config_that_is_not_understood_is_said(
    capsys: pytest.CaptureFixture[str], app: str
) -> None:
    assert "is not valid" in failed(
        capsys, "run", app, "--stations", "1", "--node-config", "device=gpu"
    )


def test_an_environment_without_flower_is_said_with_what_to_do(
    capsys: pytest.CaptureFixture[str], app: str, tmp_path: Path
) -> None:
    said = failed(capsys, "run", app, "--flower-env", str(tmp_path))
    assert f"Flower is not installed in {tmp_path}" in said
    assert "--flower-env" in said


def test_an_old_flower_is_said_with_what_to_do(
    capsys: pytest.CaptureFixture[str], app: str, tmp_path: Path
) -> None:
    old = make_flower(tmp_path / "old", release="1.14.0")
    said = failed(capsys, "run", app, "--flower-env", str(old))
    assert "Flower 1.14.0 is not supported" in said
    assert "pip install" in said


def test_a_superlink_that_nobody_runs_is_said(
    capsys: pytest.CaptureFixture[str], flower: Path
) -> None:
    said = failed(
        capsys,
        *("attach", "--superlink", "127.0.0.1:1", "--supernodes", "per-round"),
        *("--flower-env", str(flower)),
    )
    assert "127.0.0.1:1" in said
    assert "check that it is running" in said


def test_stations_that_would_not_understand_the_superlink_are_said_before_it_has_any(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    superlink = FakeSuperLink()

    class Core:
        def handle(self, method: str, request: bytes, now: float) -> bytes:
            return superlink.call(method, request)

    server = FleetServer(Core(), "http")
    said = failed(
        capsys,
        *("attach", "--superlink", server.address, "--supernodes", "per-round"),
        *("--flower-env", str(make_flower(tmp_path / "old", release="1.18.0"))),
    )
    server.close()
    assert "SuperLink of Flower 1.23 and newer and SuperNodes of Flower 1.18.0" in said
    assert "from an environment with Flower 1.23 and newer" in said
    assert superlink.online == set()


def test_supernodes_of_a_superlink_that_lives_on_stay_until_the_last_replies_were_seen(
    capsys: pytest.CaptureFixture[str], flower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[float] = []

    def attached(*_: object, linger: float) -> None:
        seconds.append(linger)
        raise UsageError("That is all.")

    monkeypatch.setattr("algorithm.cli.attach.Attached", attached)
    failed(
        capsys,
        *("attach", "--superlink", "127.0.0.1:1", "--supernodes", "per-round"),
        *("--flower-env", str(flower)),
    )
    assert seconds == [LINGER_SECONDS]


def test_keys_are_made_and_how_to_register_them_is_printed(
    capsys: pytest.CaptureFixture[str], flower: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    arguments = ("keys", "2", "--output", str(keys), "--flower-env", str(flower))
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"flwr supernode register {keys / name}.pub SUPERLINK"
        for name in ("station-1", "station-2")
    ]
    assert "a key is never overwritten" in failed(capsys, *arguments)


def test_a_key_that_is_missing_is_said(
    capsys: pytest.CaptureFixture[str], flower: Path, tmp_path: Path
) -> None:
    said = failed(
        capsys,
        *("attach", "--superlink", "127.0.0.1:1", "--keys", str(tmp_path)),
        *("--flower-env", str(flower), "--supernodes", "per-round"),
    )
    assert str(tmp_path / "station-1") in said
    assert "flower-v6 keys" in said


def test_an_output_folder_that_cannot_be_made_is_said(
    capsys: pytest.CaptureFixture[str], app: str, flower: Path, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    assert "a file" in failed(
        capsys,
        *("run", app, "--flower-env", str(flower), "--supernodes", "per-round"),
        *("--output", str(tmp_path / "a file")),
    )


# Runs


def test_a_run_that_completed_is_a_success_and_its_outcome_is_left(
    capsys: pytest.CaptureFixture[str], app: str, flower: Path, tmp_path: Path
) -> None:
    output = tmp_path / "some" / "output"
    code = cli.main(
        [
            *("run", app, "--flower-env", str(flower), "--supernodes", "per-round"),
            *("--stations", "1", "--output", str(output)),
        ]
    )
    shown = capsys.readouterr()
    assert code == 0
    assert "training\n" in shown.out
    assert "flower-v6 | the run completed" in shown.out
    assert shown.err == ""
    said = json.loads((output / "run.json").read_text())
    assert (said["status"], said["app"], said["stations"]) == ("completed", app, ["station-1"])
    assert (output / "serverapp.log").exists()


def test_a_run_that_failed_is_a_failure_and_its_outcome_is_left_and_printed(
    capsys: pytest.CaptureFixture[str], app: str, flower: Path, tmp_path: Path
) -> None:
    set_run(flower, "echo no data", [{"run-id": "42", "status": "finished:failed"}])
    code = cli.main(
        [
            *("run", app, "--flower-env", str(flower), "--supernodes", "per-round", "--json"),
            *("--stations", "1", "--output", str(tmp_path / "output")),
        ]
    )
    shown = capsys.readouterr()
    assert code == 1
    printed = json.loads(shown.out)  # and nothing else is on standard output
    assert printed == json.loads((tmp_path / "output" / "run.json").read_text())
    assert printed["status"] == "failed"
    assert "no data" in printed["log"]
    assert "The run failed" in shown.err


def test_metrics_call_a_station_offline_that_does_not_answer_on_its_lane(
    capsys: pytest.CaptureFixture[str], app: str, flower: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    read = f"print(urllib.request.urlopen('http://{address}/metrics').read().decode())"
    set_run(flower, f'{sys.executable} -c "import urllib.request; {read}"', [COMPLETED])
    run = ("run", app, "--flower-env", str(flower), "--metrics", address)
    (tmp_path / "share").mkdir()
    assert cli.main([*run, "--lane", f"north=folder:{tmp_path}/share", "--unsealed"]) == 0
    assert 'flower_v6_station_online{station="north"} 0.0' in capsys.readouterr().out


def test_a_run_that_begins_takes_the_place_of_an_earlier_one(
    capsys: pytest.CaptureFixture[str], app: str, flower: Path, tmp_path: Path
) -> None:
    """If it is killed, nobody takes the earlier one's outcome for its own."""
    output = tmp_path / "output"
    output.mkdir()
    (output / "run.json").write_text("an earlier run's")
    set_run(flower, f"ls {output}", [COMPLETED])
    run = ("run", app, "--flower-env", str(flower), "--supernodes", "per-round")
    assert cli.main([*run, "--stations", "1", "--output", str(output)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "events.jsonl" in shown
    assert "run.json" not in shown


@pytest.mark.parametrize("attached", [False, True])
def test_replies_are_kept_in_a_journal_only(
    capsys: pytest.CaptureFixture[str], app: str, flower: Path, attached: bool
) -> None:
    command = ("attach", "--superlink", "localhost:9092") if attached else ("run", app)
    said = failed(capsys, *command, "--keep-replies", "--flower-env", str(flower))
    assert "--keep-replies keeps them in a journal.\n  Name one: --journal DIR." in said
