"""What vantage6 5.0.3 does wrong and the bridge has to live with, on the real one.

Each of these tests fails with the release that mends its defect: what the bridge does about it may
go then.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from integration_tests.harness import wait_until
from integration_tests.vantage6_5.cluster import Cluster
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.stack import Collaboration, Stack


@pytest.fixture
def cluster(vantage6_5: Stack) -> Iterator[Cluster]:
    """The stack's cluster, whose behaviour may be changed by this test."""
    yield vantage6_5.cluster
    vantage6_5.cluster.ends_every = vantage6_5.cluster.unseen_seconds = 0.0


def statuses(researcher: Researcher, tasks: list[int]) -> list[str]:
    """Return the statuses of tasks' runs, sorted."""
    return sorted(researcher.status_of_run(task) for task in tasks)


def test_of_runs_that_end_together_a_node_loses_all_results_but_one(
    cluster: Cluster, plain_5: Collaboration, probe_5: str
) -> None:
    """And it runs them again when it is restarted."""
    researcher, node = Researcher(plain_5), plain_5.nodes[1]
    cluster.ends_every = 15.0
    tasks = [
        researcher.create_as("federated_compute", probe_5, "look", node.organization.id)
        for _ in range(3)
    ]
    runs = {researcher.run(task)["id"] for task in tasks}
    wait_until(
        lambda: (
            "pending" not in statuses(researcher, tasks)
            and not runs & {each.run for each in node.containers()}
        ),
        "the node has seen all of them end",
    )
    wait_until(lambda: "completed" in statuses(researcher, tasks), "one result has come")
    lost = {task for task in tasks if researcher.status_of_run(task) == "active"}
    assert lost
    with node.stopped():
        pass
    runs = {researcher.run(task)["id"] for task in lost}
    seen: set[int] = set()

    def all_seen() -> bool:
        seen.update(each.run for each in node.containers())
        return runs <= seen

    wait_until(all_seen, "lost runs are run once more")
    for task in lost:  # else each restart would run those again that end together this time
        researcher.kill(task)


def test_a_short_run_is_an_error_before_it_is_completed(
    cluster: Cluster, plain_5: Collaboration, probe_5: str
) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[0]
    cluster.unseen_seconds = 5.0
    task = researcher.create_as("federated_compute", probe_5, "look", node.organization.id)
    run = researcher.run(task)["id"]
    seen: list[tuple[str, bool]] = []

    def completed() -> bool:
        told = researcher.get(f"run/{run}")
        seen.append((told["status"], told["finished_at"] is not None))
        return bool(seen[-1][0] == "completed")

    wait_until(completed, "it is completed")
    assert ("unknown error", False) in seen
    assert seen[-1] == ("completed", True)


@pytest.mark.parametrize("blanks", [0, 1, 2])
def test_one_sealed_text_in_three_is_refused(encrypted_5: Collaboration, blanks: int) -> None:
    """Python 3.13 decodes base64 as 3.11 does not."""
    researcher, organization = Researcher(encrypted_5), encrypted_5.organizations[0].id
    text = "{}" + " " * blanks

    def create() -> None:
        researcher.post(
            "task",
            name="look",
            image="any",
            method="look",
            action="federated_compute",
            collaboration_id=encrypted_5.id,
            session_id=researcher.session,
            organizations=[researcher.addressed(organization, text)],
            databases=[[]],
        )

    if len(text) % 3:
        create()
    else:
        with pytest.raises(AssertionError, match="500"):
            create()


def test_there_is_no_log_before_the_end_and_that_is_no_plain_text(
    plain_5: Collaboration, probe_5: str
) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[0]
    task = researcher.create_as("federated_compute", probe_5, "hold", node.organization.id)
    folder = node.session_folder(researcher.session)
    wait_until((folder / f"holding-{task}").exists, "its container runs")
    wait_until(lambda: "Error while streaming logs" in node.log, "the node has given up its log")
    assert not researcher.run(task)["log"]
    researcher.kill(task)
    task = researcher.create_as("federated_compute", probe_5, "crash", node.organization.id)
    assert researcher.end(task) == "crashed"
    assert r"b'line 1\r\nline 2" in researcher.run(task)["log"]


def test_what_a_crash_leaves_is_thrown_away(plain_5: Collaboration, probe_5: str) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[0]
    task = researcher.create_as("federated_compute", probe_5, "crash", node.organization.id)
    assert researcher.end(task) == "crashed"
    assert researcher.left(task) is None


def test_a_service_account_cannot_encrypt_with_vantage6s_own_client(
    vantage6_5: Stack, encrypted_5: Collaboration, probe_5: str
) -> None:
    robot = encrypted_5.robot
    answer = vantage6_5.official_client(encrypted_5, probe_5, robot.username, robot.secret)
    assert answer["me"] is None
    assert "NoneType" in answer["error"]


def test_a_deleted_task_leaves_the_runs_of_its_subtasks(
    vantage6_5: Stack, plain_5: Collaboration, probe_5: str
) -> None:
    """Unless the subtasks are deleted first."""
    researcher = Researcher(plain_5)
    first, second = (each.id for each in plain_5.organizations[:2])
    tasks, subtasks, runs = [], [], []
    for _ in range(2):  # one after the other: of those that end together a result is lost
        task = researcher.create(probe_5, "ask", first, organizations=[second])
        researcher.result(task)
        tasks.append(task)
        (subtask,) = researcher.get("task", parent_id=task)["data"]
        subtasks.append(subtask["id"])
        runs.append(researcher.run(subtask["id"])["id"])
    researcher.delete(f"task/{tasks[0]}")
    for number in (subtasks[1], tasks[1]):
        researcher.delete(f"task/{number}")
    question = f"SELECT id, task_id, result IS NOT NULL FROM run WHERE id IN ({runs[0]}, {runs[1]})"  # noqa: S608
    assert vantage6_5.hq.rows(question) == [[str(runs[0]), "", "t"]]


@pytest.mark.thorough
def test_a_list_as_algorithm_env_keeps_every_task_from_starting(
    plain_5: Collaboration, probe_5: str
) -> None:
    """The chart of 5.0.0rc2 writes a list of names and values; the node wants a mapping.

    Tasks wait until the node is restarted with one.
    """
    researcher, node = Researcher(plain_5), plain_5.nodes[2]
    listed: Any = [{"name": "GREETING", "value": "hello"}]
    with node.configured(replace(node.settings, algorithm_env=listed)):
        task = researcher.create(probe_5, "look", node.organization.id)
        wait_until(lambda: "'list' object has no attribute 'items'" in node.log, "it has failed")
        assert researcher.run(task)["finished_at"] is None
    assert researcher.end(task) == "completed"


def test_postprocessing_is_refused(plain_5: Collaboration, probe_5: str) -> None:
    """Its enum has it, and a node that got one would not know what to do with its output."""
    researcher, organization = Researcher(plain_5), plain_5.organizations[0].id
    with pytest.raises(AssertionError, match=r"400 .*postprocessing task cannot be"):
        researcher.create_as("postprocessing", probe_5, "look", organization)
