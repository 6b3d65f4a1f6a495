"""The vantage6 that other tests stand on is a real one, and nothing is left of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integration_tests.harness import alive, descendants, wait_until
from integration_tests.vantage6 import containers
from integration_tests.vantage6.busy import keep_busy
from integration_tests.vantage6.node import Settings
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration, Stack, running_stack


@pytest.fixture(params=["plain", "encrypted"])
def collaboration(request: pytest.FixtureRequest) -> Collaboration:
    """Each of the two collaborations."""
    found: Collaboration = request.getfixturevalue(request.param)
    return found


def test_a_container_asks_other_stations_through_its_node(
    collaboration: Collaboration, probe: str
) -> None:
    first, *others = collaboration.organizations
    researcher = Researcher(collaboration)
    task = researcher.create(probe, "ask", first.id, organizations=[each.id for each in others])
    tables = [answer["table"] for answer in researcher.result(task)]
    assert [table[1] for table in tables] == [f"{each.name},0" for each in others]


def test_a_server_sees_what_a_collaboration_does_not_encrypt(
    plain: Collaboration, encrypted: Collaboration, probe: str
) -> None:
    inputs = []
    for collaboration in (plain, encrypted):
        researcher = Researcher(collaboration)
        task = researcher.create(probe, "look", collaboration.organizations[1].id)
        researcher.result(task)
        inputs.append(researcher.run(task)["input"])
    assert ["$" in each for each in inputs] == [False, True]


def test_a_container_has_no_way_out(plain: Collaboration, probe: str) -> None:
    researcher, node = Researcher(plain), plain.nodes[0]
    tries = [
        researcher.create(probe, "reaches", node.organization.id, host=host)
        for host in ("pypi.org", "1.1.1.1")
    ]
    assert [researcher.result(each) for each in tries] == [False, False]
    task = researcher.create(probe, "hold", node.organization.id)
    wait_until(lambda: "holding" in (researcher.run(task)["log"] or ""), "its container runs")
    container = node.container(researcher.run(task)["id"])
    assert list(containers.networks_of(container).values()) == [True]
    researcher.kill(task)
    wait_until(lambda: not plain.containers(), "the container is gone")
    assert researcher.status(task) == "killed by user"


def test_a_killed_container_is_a_crash(plain: Collaboration, probe: str) -> None:
    researcher, node = Researcher(plain), plain.nodes[0]
    task = researcher.create(probe, "hold", node.organization.id)
    wait_until(lambda: researcher.status(task) == "active", "its container runs")
    node.container(researcher.run(task)["id"]).kill()
    assert researcher.end(task) == "crashed"


def test_a_stopped_node_runs_its_task_when_it_is_back(plain: Collaboration, probe: str) -> None:
    researcher, node = Researcher(plain), plain.nodes[1]
    with node.stopped():
        task = researcher.create(probe, "look", node.organization.id)
        assert researcher.run(task)["node"]["status"] == "offline"
        assert researcher.status(task) == "pending"
    assert researcher.result(task)["table"][1] == f"{node.organization.name},0"


def test_a_killed_node_leaves_its_containers_running(plain: Collaboration, probe: str) -> None:
    researcher, node = Researcher(plain), plain.nodes[1]
    task = researcher.create(probe, "hold", node.organization.id)
    wait_until(lambda: researcher.status(task) == "active", "its container runs")
    container = node.container(researcher.run(task)["id"])
    node.kill()
    try:
        assert container in node.containers()
    finally:
        node.start()
    container.kill()
    containers.docker("rm", container.name)


def test_a_server_that_was_killed_still_has_its_tasks(
    vantage6: Stack, plain: Collaboration, probe: str
) -> None:
    researcher = Researcher(plain)
    ended = researcher.create(probe, "look", plain.organizations[0].id)
    result = researcher.result(ended)
    with plain.nodes[1].stopped():
        waiting = researcher.create(probe, "look", plain.organizations[1].id)
        with vantage6.server.killed():
            pass
        assert researcher.status(waiting) == "pending"
    assert researcher.result(ended) == result
    assert researcher.end(waiting) == "completed"


def test_an_owner_decides_what_runs_and_what_it_is_told(
    plain: Collaboration, probe: str, tmp_path: Path
) -> None:
    researcher, node = Researcher(plain), plain.nodes[2]
    own = node.settings.databases
    with node.configured(Settings(own, policies={"allowed_algorithms": ["^another/image"]})):
        assert researcher.end(researcher.create(probe, "look", node.organization.id)) == (
            "not allowed"
        )
    table = tmp_path / "other.csv"
    table.write_text("other\n")
    with node.configured(Settings({"default": table}, algorithm_env={"GREETING": "hello"})):
        answer = researcher.result(researcher.create(probe, "look", node.organization.id))
        assert (answer["greeting"], answer["table"]) == ("hello", ["other"])
    answer = researcher.result(researcher.create(probe, "look", node.organization.id))
    assert (answer["greeting"], answer["table"][0]) == (None, "organization,number")


@pytest.mark.thorough
def test_nothing_is_left_of_a_stack(vantage6: Stack) -> None:
    before = descendants(os.getpid())
    with running_stack() as stack:
        keep_busy(stack)
        processes = descendants(os.getpid()) - before
        assert processes
        assert set(containers.left_of(stack.session)) == {"container", "network", "volume", "image"}
    assert not alive(processes)
    assert not stack.folder.exists()
    assert not containers.left_of(stack.session)


@pytest.mark.thorough
def test_the_next_stack_removes_what_a_killed_one_left(vantage6: Stack, tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-m", "integration_tests.vantage6.busy"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert killed.stdout is not None
    session, folder = killed.stdout.readline().split()
    processes = descendants(killed.pid)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not alive(processes), "its processes have ended")
    wait_until(lambda: not Path(folder).exists(), "its folder is gone")
    assert containers.left_of(session)
    containers.remove_dead_sessions()
    assert not containers.left_of(session)
    assert containers.left_of(vantage6.session)
