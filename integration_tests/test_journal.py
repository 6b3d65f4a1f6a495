"""A central that was killed is gone on from, on real SuperLinks and SuperNodes."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
from proxy.central.events import Stage
from proxy.fleet.messages import ErrorCode
from proxy.system.process import Process

_STAGES = (Stage.PULLED, Stage.DRAINED, Stage.SENT, Stage.ANSWERED, Stage.PUSHED)
# Not before the journal heard that a message was pulled: then nobody knows of it.
MOMENTS = [(stage, moment) for stage in _STAGES for moment in ("before", "after")][1:]


ONE = ("--stations", "1")


@contextmanager
def attached(
    federation: Federation,
    folder: Path,
    *kill: str,
    stations: Sequence[str] = ONE,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """A station of a SuperLink, with a journal."""
    options = ["attach", "--superlink", federation.address, *stations]
    options += ["--journal", str(folder / "journal")]
    if "--lane" not in stations:  # stations at the other end of a lane have a Flower of their own
        options += ["--flower-env", str(federation.flower.folder)]
    log = folder / "attach.log"
    if kill:
        command = [sys.executable, "-m", "integration_tests.killed_at", *kill, *options]
        process = Process(command, {**os.environ, **(variables or {})}, log, grace=20.0)
    else:
        process = start(*options, log=log, environment=variables)
    try:
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize(
    "release",
    [
        "",
        pytest.param("1.22.0", marks=pytest.mark.thorough),
        pytest.param("1.32.0", marks=pytest.mark.thorough),
    ],
)
def test_attach_that_is_killed_between_any_two_events_has_each_message_answered_once(
    flower: Flower, tmp_path: Path, release: str
) -> None:
    """For older releases see the unit tests: there is no app of theirs that marks its trainings."""
    moments = MOMENTS if release else MOMENTS[::3]
    answered_whenever_attach_dies(installed(release) if release else flower, tmp_path, moments)


def answered_whenever_attach_dies(
    flower: Flower,
    folder: Path,
    moments: Sequence[tuple[str, str]],
    stations: Sequence[str] = ONE,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Have `attach` killed at each of the moments; see that each message is answered once."""
    result, trained = folder / "result.json", folder / "journal-of-faults"
    with superlink(flower, folder / "superlink") as federation:
        submission = federation.submit(
            "faults",
            result=result,
            journal=trained,
            pid_dir=folder,
            num_stations=1,
            num_server_rounds=len(moments) + 1,
            hold=f"0-{len(moments) + 1}",
        )
        for stage, moment in moments:
            with attached(
                federation, folder, stage, moment, "1", stations=stations, variables=variables
            ) as bridge:
                assert bridge.wait(PATIENCE_SECONDS), f"it did not die {moment} {stage}"
                assert bridge.exit_code == 137, bridge.log_tail(40)
        with attached(federation, folder, stations=stations, variables=variables) as bridge:
            hangs = folder / f"0-{len(moments) + 1}"
            wait_until(hangs.exists, "the ClientApp hangs")
            (folder / f"0-{len(moments) + 1}.go").touch()
            finish(submission)
    assert submission.exit_code == 0, submission.log_tail(40)
    rounds = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for each in rounds for reply in each["replies"]] == [None] * len(rounds)
    lines = [line.split() for line in trained.read_text().splitlines()]
    assert len({message for message, _, _ in lines}) == len(lines) == len(rounds)


@pytest.mark.thorough
def test_a_message_that_a_clientapp_had_when_all_was_killed_is_not_trained_twice(
    flower: Flower, tmp_path: Path
) -> None:
    result, trained = tmp_path / "result.json", tmp_path / "trained"
    with superlink(flower, tmp_path / "superlink") as federation:
        submission = federation.submit(
            "faults",
            result=result,
            journal=trained,
            pid_dir=tmp_path,
            num_stations=1,
            num_server_rounds=2,
            hold="0-1",
        )
        with attached(federation, tmp_path) as bridge:
            wait_until((tmp_path / "0-1").exists, "the ClientApp hangs")
            command = f"{COMMAND} attach --superlink {federation.address}"
            (pid,) = with_command_line(descendants(os.getpid()), command)
            os.kill(pid, signal.SIGKILL)
            assert bridge.wait(PATIENCE_SECONDS)
        with attached(federation, tmp_path):
            finish(submission)
    first, second = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for reply in first["replies"]] == [ErrorCode.MESSAGE_UNAVAILABLE]
    assert "does not train twice" in first["replies"][0]["reason"]
    assert [reply["error"] for reply in second["replies"]] == [None]
    assert len(trained.read_text().splitlines()) == 2


@dataclass
class Run:
    """`flower-v6 run` of an app, which is killed once and called again."""

    app: str
    mode: str
    folder: Path
    config: dict[str, object]
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def killed(self, *kill: str) -> None:
        """Run it until it kills itself."""
        command = [sys.executable, "-m", "integration_tests.killed_at", *kill, *self.command]
        variables = {**os.environ, **self.environment}
        process = Process(command, variables, self.folder / "killed.log", grace=20.0)
        finish(process)
        assert process.exit_code == 137, process.log_tail(40)

    def resumed(self) -> str:
        """Run it to its end; returns what it printed."""
        log = self.folder / "resumed.log"
        process = start(*self.command, log=log, environment=self.environment)
        finish(process)
        assert process.exit_code == 0, process.log_tail(40)
        return process.log.read_text()

    @property
    def command(self) -> list[str]:
        """The arguments of `flower-v6`."""
        return [
            *("run", str(APPS / self.app), "--mode", self.mode),
            *("--run-config", run_config(**self.config)),
            *("--resume", str(self.folder / "journal"), *self.options),
        ]


def test_a_run_in_direct_mode_that_is_killed_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    """Also for the ClientApps' state."""
    result = tmp_path / "result.json"
    run = Run("stateful", "direct", tmp_path, {"num_server_rounds": 3, "result": result})
    run.killed(Stage.SENT, "after", "7")
    assert "answered from the journal" in run.resumed()
    counters = json.loads(result.read_text())
    assert counters["train"] == {"1": [1, 1], "2": [3, 3], "3": [5, 5]}
    assert counters["evaluate"] == {"1": [2, 2], "2": [4, 4], "3": [6, 6]}


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["direct", "bridge"])
def test_a_run_that_is_killed_ends_with_the_same_model_bit_by_bit(
    tmp_path: Path, mode: str
) -> None:
    models = []
    for name in ("undisturbed", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        paths = {"result": folder / "model.npz", "model": folder / "model.pt"}
        run = Run("digits", mode, folder, {"num_server_rounds": 3, **paths})
        if name == "killed":
            run.killed(Stage.SENT, "after", "7")
        assert ("answered from the journal" in run.resumed()) == (name == "killed")
        models.append((folder / "model.npz").read_bytes())
    assert models[0] == models[1]


def test_a_run_of_many_stations_adds_up_in_the_order_of_before(tmp_path: Path) -> None:
    """A SuperLink hands out replies in some order: three floats have another sum in another one."""
    result = tmp_path / "model"
    config = {"result": result, "num_server_rounds": 3}
    run = Run("sums", "bridge", tmp_path, config, options=("--stations", "4"))
    run.killed(Stage.SENT, "after", "9")
    printed = run.resumed()
    assert "8 of its messages are answered from the journal" in printed
    assert "begins anew" not in printed


@pytest.mark.thorough
def test_a_run_in_bridge_mode_that_is_killed_trains_no_message_twice(tmp_path: Path) -> None:
    result, trained = tmp_path / "result.json", tmp_path / "trained"
    run = Run("faults", "bridge", tmp_path, {"result": result, "journal": trained})
    run.killed(Stage.ANSWERED, "after", "3")
    assert "answered from the journal" in run.resumed()
    rounds = json.loads(result.read_text())["rounds"]
    assert [reply["value"] for each in rounds for reply in each["replies"]] == [
        *(1.0, 2.0, 2.5, 3.5, 4.0, 5.0)
    ]
    messages = [line.split()[0] for line in trained.read_text().splitlines()]
    assert len(messages) == len(set(messages))


def test_a_serverapp_gets_replies_as_it_took_them_before_and_again_does_without_a_late_one(
    tmp_path: Path,
) -> None:
    """It is killed when the late reply has come, and it has said nothing since."""
    result = tmp_path / "result.json"
    run = Run("arrivals", "direct", tmp_path, {"result": result, "folder": tmp_path})
    run.killed(Stage.PUSHED, "after", "4")
    (tmp_path / "end").touch()
    printed = run.resumed()
    assert "4 of its messages are answered from the journal" in printed
    assert "begins anew" not in printed
    assert json.loads(result.read_text()) == {"polled": [1, 0], "timed": [1]}


def test_a_serverapp_that_is_stopped_does_not_end_its_run_with_what_it_has(tmp_path: Path) -> None:
    """It would write the result of a round that nobody trained over a good one."""
    result = tmp_path / "result.json"
    config = {"result": result, "journal": tmp_path / "trained", "pid_dir": tmp_path}
    run = Run("faults", "direct", tmp_path, {**config, "num_server_rounds": 1, "hold": "0-1"})
    process = start(*run.command, log=tmp_path / "stopped.log")
    wait_until((tmp_path / "0-1").exists, "the ClientApp hangs")
    (pid,) = with_command_line(descendants(os.getpid()), f"{COMMAND} run")
    os.kill(pid, signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS)
    assert not result.exists()
    (tmp_path / "0-1.go").touch()
    run.resumed()
    (only,) = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for reply in only["replies"]] == [None, None]


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["direct", "bridge"])
def test_an_app_without_a_seed_goes_on_in_direct_mode_and_begins_anew_in_bridge_mode(
    tmp_path: Path, mode: str
) -> None:
    result, trained = tmp_path / "result.json", tmp_path / "trained"
    run = Run("unseeded", mode, tmp_path, {"result": result, "trained": trained})
    run.killed(Stage.DRAINED, "after", "3")
    before = trained.read_text().splitlines()
    printed = run.resumed()
    lines = trained.read_text().splitlines()
    if mode == "direct":
        assert "begins anew" not in printed
        assert len(lines) == 2 * 3
    else:
        assert "the run begins anew" in printed
        assert "train 1 for station station-" in printed
        assert "the content (SHA-256" in printed
        assert len(lines) == len(before) + 2 * 3
    drawn = json.loads(result.read_text())
    assert len({line.split(maxsplit=1)[1] for line in lines[-6:]}) == len(drawn) == 3


@pytest.mark.thorough
def test_a_run_that_is_killed_while_a_clientapp_trains_goes_on_with_that_message(
    tmp_path: Path,
) -> None:
    """The ClientApp ends with the run. What it had begun is a new message then."""
    result, trained = tmp_path / "result.json", tmp_path / "trained"
    config = {"result": result, "journal": trained, "pid_dir": tmp_path, "hold": "0-2"}
    run = Run("faults", "direct", tmp_path, config)
    process = start(*run.command, log=tmp_path / "killed.log")
    wait_until((tmp_path / "0-2").exists, "the ClientApp hangs")
    (pid,) = with_command_line(descendants(os.getpid()), f"{COMMAND} run")
    os.kill(pid, signal.SIGKILL)
    assert process.wait(PATIENCE_SECONDS)
    (tmp_path / "0-2.go").touch()
    run.resumed()
    rounds = json.loads(result.read_text())["rounds"]
    assert [reply["value"] for each in rounds for reply in each["replies"]] == [
        *(1.0, 2.0, 2.5, 3.5, 4.0, 5.0)
    ]
    lines = [line.split() for line in trained.read_text().splitlines()]
    assert len({message for message, _, _ in lines}) == len(lines)
    assert sorted(line[1:] for line in lines if line[1:] != ["0", "2"]) == [
        *(["0", "1"], ["0", "3"], ["1", "1"], ["1", "2"], ["1", "3"])
    ]
