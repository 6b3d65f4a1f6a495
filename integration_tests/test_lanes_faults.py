"""Whatever happens to resident stations, their central and their lane, on each kind of lane."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.tests.resident import Residents
from integration_tests.harness import (
    APPS,
    COMMAND,
    PATIENCE_SECONDS,
    Direct,
    alive,
    descendants,
    finish,
    run_config,
    run_on,
    wait_until,
    with_command_line,
)
from integration_tests.lanes import SshServer
from integration_tests.stages import EVERY, Stage
from integration_tests.test_failures import Disturbed
from integration_tests.test_journal import MOMENTS, Run, answered_whenever_attach_dies
from integration_tests.test_results import values
from proxy.fleet.messages import ErrorCode
from proxy.system.process import Process

DISTURBED = (sys.executable, "-m", "integration_tests.disturbed_lane")


@pytest.mark.thorough
@pytest.mark.parametrize("stage", EVERY, indirect=True)
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
@pytest.mark.parametrize("stage", EVERY, indirect=True)
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
    assert trained_once(tmp_path / "journal")
    wait_until(lambda: stage.left() == 0, "nothing is left on the lane")


@pytest.mark.thorough
@pytest.mark.parametrize("stage", EVERY, indirect=True)
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


def trained_once(journal: Path) -> int:
    """Return how many messages were trained; none may have been trained twice."""
    trained = [line.split()[0] for line in journal.read_text().splitlines()]
    assert len(trained) == len({*trained})
    return len(trained)


def kill(command: Process) -> None:
    """End the command's own process at once, as a power cut does."""
    for program in ("algorithm.cli", COMMAND):
        for pid in with_command_line(descendants(command._popen.pid), program):
            os.kill(pid, signal.SIGKILL)
    command.stop()


_CALLS = [
    (call, moment, str(number))
    for number in (2, 3)
    for call in ("receive", "send", "done")
    for moment in ("before", "after")
]


@pytest.mark.thorough
@pytest.mark.parametrize("stage", EVERY, indirect=True)
def test_a_station_that_is_killed_at_any_call_to_its_lane_trains_once_and_answers(
    flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north",), flower.folder)
    result, journal, rounds = tmp_path / "result.json", tmp_path / "journal", 4 * len(_CALLS)
    config = {"result": result, "journal": journal, "num_stations": 1, "num_server_rounds": rounds}
    direct = Direct(flower, tmp_path, residents.options, stage.environment)
    run = direct.submit("faults", **config)
    for call in _CALLS:
        residents.program = (*DISTURBED, "killed", *call)
        station = residents.start("north", stage.environment)
        assert station.wait(PATIENCE_SECONDS), f"it was not killed: {call}"
        assert station.exit_code == 137, station.log_tail(40)
        station.stop()
    residents.program = Residents.program
    with residents.running(stage.environment):
        finish(run)
    assert run.exit_code == 0, run.log_tail(40)
    replies = [
        reply for each in json.loads(result.read_text())["rounds"] for reply in each["replies"]
    ]
    assert len(replies) == rounds
    for reply in replies:
        assert reply["error"] is None or "does not train twice" in reply["reason"], reply
    assert trained_once(journal) <= rounds
    wait_until(lambda: stage.left() == 0, "nothing is left on the lane")


@pytest.mark.thorough
@pytest.mark.parametrize("stage", EVERY, indirect=True)
def test_attach_that_is_killed_between_any_two_events_has_each_message_answered_once(
    flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north",), flower.folder)
    with residents.running(stage.environment):
        answered_whenever_attach_dies(
            flower, tmp_path, MOMENTS, residents.options, stage.environment
        )


@pytest.mark.thorough
@pytest.mark.parametrize("stage", EVERY, indirect=True)
def test_a_run_that_is_killed_between_any_two_events_ends_as_if_nothing_had_happened(
    flower: Flower, stage: Stage, tmp_path: Path
) -> None:
    """In direct mode, also for the ClientApps' state."""
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    result = tmp_path / "result.json"
    config: dict[str, object] = {"num_server_rounds": 5, "result": result}
    with residents.running(stage.environment):
        run = Run("stateful", "direct", tmp_path, config, residents.options, stage.environment)
        for moment in MOMENTS:
            run.killed(*moment, "2")
        run.resumed()
    counters = json.loads(result.read_text())
    assert counters["train"] == {f"{number}": [2 * number - 1] * 2 for number in range(1, 6)}
    assert counters["evaluate"] == {f"{number}": [2 * number] * 2 for number in range(1, 6)}
    wait_until(lambda: stage.left() == 0, "nothing is left on the lane")


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["bridge", "direct"])
@pytest.mark.parametrize("stage", EVERY, indirect=True)
def test_what_a_lane_repeats_delays_and_reorders_is_trained_and_answered_once(
    flower: Flower, stage: Stage, tmp_path: Path, mode: str
) -> None:
    residents = Residents(tmp_path, stage.lane, ("north", "south"), flower.folder)
    residents.program = (*DISTURBED, "unruly", "7")
    result, journal = tmp_path / "result.json", tmp_path / "journal"
    config = run_config(result=result, journal=journal, num_server_rounds=4)
    command = ["run", str(APPS / "faults"), "--mode", mode, *residents.options]
    with residents.running(stage.environment):
        run = Process(
            [*DISTURBED, "unruly", "11", *command, "--run-config", config],
            stage.environment,
            tmp_path / "run.log",
            grace=20.0,
        )
        finish(run)
    assert run.exit_code == 0, run.log_tail(40)
    rounds = json.loads(result.read_text())["rounds"]
    assert [reply["value"] for each in rounds for reply in each["replies"]] == [
        *(1.0, 2.0, 2.5, 3.5, 4.0, 5.0, 5.5, 6.5)
    ]
    assert trained_once(journal) == 8
