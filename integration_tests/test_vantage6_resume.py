"""A run whose central is killed goes on where it was, when its node starts it again."""

import time
from datetime import datetime
from pathlib import Path

import pytest

from algorithm.monitoring.entries import MARK, Entry
from integration_tests.harness import finish, run_config, start, wait_until
from integration_tests.test_vantage6_failures import assert_trained_once
from integration_tests.vantage6 import containers
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import RUN_SECONDS, login
from integration_tests.vantage6.command import Collaboration as Either
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.faults import FaultsRun, replies
from integration_tests.vantage6.node import Node
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.runs import Natively, organizations, read
from integration_tests.vantage6.stack import Collaboration
from proxy.central.events import Stage

_ROUNDS, _KILLED_IN = 10, 7
_NORTH, _SOUTH = range(2)
# In bridge mode each of the demo's 20 steps takes half a minute on a machine that is busy, and
# before them two images are built.
pytestmark = pytest.mark.timeout(3600)
MODES = pytest.mark.parametrize("mode", ["direct", "bridge"])


@pytest.fixture(autouse=True)
def _nothing_open(plain: Collaboration) -> None:
    """End what earlier tests left open at nodes that they killed: they would start it again."""
    Researcher(plain).kill_what_is_open()


def undisturbed() -> list[list[float]]:
    """Return what the stations answer in each round if nothing happens."""
    value, rounds = 0.0, []
    for _ in range(_ROUNDS):
        values = [value + 1, value + 2]
        value = sum(values) / len(values)
        rounds.append(values)
    return rounds


def kill_with_node(node: Node, central: Container) -> float:
    """Kill a central and its node, which starts it again; returns when, in seconds since 1970."""
    node.kill()
    killed = time.time()
    central.kill()
    node.start()
    wait_until(lambda: started(central) > killed, "the central is started again")
    return started(central)


def started(container: Container) -> float:
    """Return when a container was started, in seconds since 1970; 0 if it is not there."""
    try:
        at = containers.docker("inspect", "--format", "{{.State.StartedAt}}", container.name)
    except containers.DockerError:  # one takes the place of another
        return 0.0
    return datetime.fromisoformat(at.strip()).timestamp()


def first_sent(log: str) -> float:
    """Return when a central sent its first message, by its log."""
    lines = [line.removeprefix(MARK) for line in log.splitlines() if line.startswith(MARK)]
    entries = [entry for line in lines if (entry := Entry.read(line)) is not None]
    return next(entry.at for entry in entries if entry.event == Stage.SENT)


def run_in_round_7(collaboration: Either, image: str, mode: str) -> FaultsRun:
    """Start a run, and wait until a station trains in round 7; it goes on when it is released."""
    run = FaultsRun(
        collaboration,
        image,
        stations=(_NORTH, _SOUTH),
        hold=[(_SOUTH, _KILLED_IN)],
        config={"num-server-rounds": _ROUNDS},
        mode=mode,
    )
    for number in range(1, _KILLED_IN + 1):
        run.journals.await_training(_SOUTH, number)
    return run


def assert_it_goes_on(run: FaultsRun) -> None:
    """Release the station; check that the run ends as if nothing had happened."""
    run.journals.release(_SOUTH, _KILLED_IN)
    outcome = run.outcome()
    assert outcome["status"] == "completed"
    answers = [replies(outcome, number) for number in range(1, _ROUNDS + 1)]
    assert [[each["value"] for each in answer] for answer in answers] == undisturbed()
    assert_trained_once(run.journals, _ROUNDS * 2)


@pytest.mark.thorough
@MODES
def test_a_central_that_is_killed_in_round_7_of_10_goes_on_there(
    plain: Collaboration, image_of: ImageOf, mode: str
) -> None:
    run = run_in_round_7(plain, image_of("faults"), mode)
    back = kill_with_node(plain.nodes[_NORTH], run.central_container())
    assert_it_goes_on(run)
    assert "answered from the journal" in run.log
    print(f"{mode} mode: back at work {first_sent(run.log) - back:.1f} s after its start")


@pytest.mark.thorough
@MODES
def test_the_demo_app_ends_with_the_same_model_when_its_central_was_killed_in_round_7_of_10(
    plain: Collaboration, image_of: ImageOf, natively: Natively, tmp_path: Path, mode: str
) -> None:
    config = {
        "num_server_rounds": _ROUNDS,
        "model": Path("model.pt"),
        "result": Path("result.npz"),
    }
    output = tmp_path / "output"
    run = start(
        *("submit", image_of("digits"), "--output", str(output), "--mode", mode),
        *(*organizations(plain, 2), "--run-config", run_config(**config, num_stations=2)),
        log=tmp_path / "log",
        environment=login(plain),
    )
    in_round_7 = f"[ROUND {_KILLED_IN}/{_ROUNDS}]"
    wait_until(lambda: in_round_7 in run.log.read_text(), "round 7 begins", RUN_SECONDS)
    node = plain.nodes[_NORTH]
    running = [each for each in node.containers() if each.running]
    kill_with_node(node, min(running, key=lambda each: each.run))
    finish(run, RUN_SECONDS)
    assert run.exit_code == 0, run.log_tail(40)
    assert read(output / "result.npz") == natively("digits", config)
