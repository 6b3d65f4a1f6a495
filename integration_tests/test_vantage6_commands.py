"""The researcher's commands against a real server: what goes wrong is one clear error.

That runs end well: `test_vantage6_results.py`.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
import requests

from algorithm.flower.manifest import Manifest
from algorithm.image.store_entry import store_entry
from integration_tests.harness import finish, free_port, start, wait_until
from integration_tests.vantage6 import containers
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import flower_v6, login
from integration_tests.vantage6.faults import FaultsRun
from integration_tests.vantage6.node import Settings
from integration_tests.vantage6.registration import RESEARCHER, Administrator
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration, Stack
from integration_tests.vantage6.store import store_of

_NOWHERE = "http://127.0.0.1:9/api"


def error_of(environment: Mapping[str, str], *arguments: str) -> str:
    """Return what is said about a command that cannot be done."""
    ended = flower_v6(environment, *arguments)
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stderr
    assert environment["FLOWER_V6_PASSWORD"] not in ended.stdout + ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SERVER", _NOWHERE, f"No vantage6 server answers at {_NOWHERE}: Connection refused"),
        ("PASSWORD", "not the password", "refuses the login of researcher: Failed to login"),
        ("USERNAME", "nobody", "refuses the login of nobody: Failed to login"),
        ("COLLABORATION", "nowhere", "There is no collaboration 'nowhere'"),
        ("COLLABORATION", "nowhere", "plain (1), encrypted (2)"),
        ("COLLABORATION", "encrypted", "--organization-key"),
    ],
)
def test_a_login_that_does_not_fit_is_refused(
    vantage6: Stack, name: str, value: str, said: str
) -> None:
    environment = login(vantage6.plain) | {f"FLOWER_V6_{name}": value}
    assert said in error_of(environment, "submit", "an/image")


def test_an_address_without_the_apis_path_is_no_server(vantage6: Stack) -> None:
    address = vantage6.plain.url.removesuffix("/api")
    environment = login(vantage6.plain) | {"FLOWER_V6_SERVER": address}
    assert f"{address} is not the API of a vantage6 server" in error_of(environment, "watch", "1")


@pytest.mark.parametrize("command", [["watch", "9999"], ["fetch", "9999", "--output", "none"]])
def test_a_task_that_does_not_exist_is_said_not_to(vantage6: Stack, command: list[str]) -> None:
    assert "There is no task 9999" in error_of(login(vantage6.plain), *command)


def test_an_unknown_organization_is_answered_with_those_that_exist(vantage6: Stack) -> None:
    said = error_of(login(vantage6.plain), "submit", "an/image", "--organizations", "Nobody")
    for each in vantage6.plain.organizations:
        assert f"{each.name} ({each.id})" in said


def test_organizations_without_nodes_are_named(vantage6: Stack) -> None:
    name, organizations = "without nodes", vantage6.plain.organizations
    Administrator(vantage6.server.url).collaboration(name, organizations, encrypted=False)
    environment = login(vantage6.plain) | {"FLOWER_V6_COLLABORATION": name}
    said = error_of(environment, "submit", "an/image", "--organizations", organizations[1].name)
    assert "No node is registered" in said
    assert organizations[1].name in said


def test_the_key_of_another_organization_is_refused(encrypted: Collaboration) -> None:
    assert encrypted.private_key is not None
    another = encrypted.private_key.with_name("organization-2.pem")
    environment = login(encrypted) | {"FLOWER_V6_ORGANIZATION_KEY": str(another)}
    said = error_of(environment, "submit", "an/image")
    assert f"{another} is not the private key of {encrypted.organizations[0].name}" in said


def test_an_image_that_does_not_exist_is_said_not_to(plain: Collaboration) -> None:
    said = error_of(login(plain), "submit", "flower-v6.invalid/none:none")
    assert "non-existing Docker image (the node can neither find nor pull the image)" in said


def test_an_image_that_a_node_does_not_allow_is_said_to_be_that(
    plain: Collaboration, probe: str
) -> None:
    node = plain.nodes[2]
    policies = {"allowed_algorithms": ["^another/image"]}
    with node.configured(Settings(node.settings.databases, policies=policies)):
        said = error_of(login(plain), "submit", probe, "--organization", node.organization.name)
    assert "not allowed (the node's owner does not allow this image or this user)" in said


def test_a_node_that_is_offline_is_told(plain: Collaboration, probe: str) -> None:
    node = plain.nodes[1]
    with node.stopped():
        where = ("--organization", node.organization.name)
        ended = flower_v6(login(plain), "submit", probe, "--detach", *where)
        assert ended.returncode == 0, ended.stderr
        assert f"the node of {node.organization.name} is offline" in ended.stdout
        researcher, task = Researcher(plain), _task_in(ended.stdout)
        assert researcher.status(task) == "pending"
        researcher.kill(task)


@pytest.mark.parametrize("which", ["plain", "encrypted"])
def test_an_image_that_has_no_flower_app_is_a_crash_whose_log_is_shown(
    which: str, probe: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    collaboration: Collaboration = request.getfixturevalue(which)
    ended = flower_v6(login(collaboration), "submit", probe)
    assert "KeyError: 'central'" in ended.stdout
    assert "crashed" in ended.stderr
    task = str(_task_in(ended.stdout))
    said = flower_v6(login(collaboration), "fetch", task, "--output", str(tmp_path)).stderr
    assert f"Task {task} has no outcome: it ended as crashed" in said
    assert "KeyError: 'central'" in said


@pytest.mark.parametrize("which", ["plain", "encrypted"])
def test_a_result_of_another_algorithm_is_no_outcome(
    which: str, probe: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    collaboration: Collaboration = request.getfixturevalue(which)
    researcher = Researcher(collaboration)
    task = researcher.create(probe, "look", collaboration.organizations[0].id)
    researcher.result(task)
    said = error_of(login(collaboration), "fetch", str(task), "--output", str(tmp_path))
    assert f"The result of task {task} is not the outcome of a Flower app" in said


def test_a_task_is_followed_while_the_server_is_away_and_until_it_is_killed(
    vantage6: Stack, plain: Collaboration, probe: str, tmp_path: Path
) -> None:
    researcher = Researcher(plain)
    task = researcher.create(probe, "hold", plain.organizations[0].id)
    watching = start("watch", str(task), log=tmp_path / "watch.log", environment=login(plain))
    try:
        wait_until(lambda: "holding" in watching.log.read_text(), "its log is shown")
        with vantage6.server.killed():
            # It may have died in the middle of an answer.
            wait_until(lambda: "until it is back" in watching.log.read_text(), "it is missed")
        wait_until(lambda: "server is back" in watching.log.read_text(), "it is found")
    finally:
        researcher.kill(task)
        finish(watching)
        # A node that was not connected again did not hear of it.
        for left in plain.nodes[0].containers():
            containers.docker("rm", "--force", left.name)
    assert watching.exit_code == 1
    assert f"Task {task} ended: killed by user" in watching.log_tail()
    assert watching.log.read_text().count("holding") == 1


@pytest.mark.thorough
def test_whoever_watches_a_run_serves_its_metrics(
    plain: Collaboration, image_of: ImageOf, tmp_path: Path
) -> None:
    run = FaultsRun(plain, image_of("faults"), stations=(0, 1), hold=[(0, 2)], mode="direct")
    address = f"127.0.0.1:{free_port()}"
    watching = start(
        *("watch", str(run.task), "--metrics", address),
        log=tmp_path / "watch.log",
        environment=login(plain),
    )

    def served() -> set[str]:
        return set(requests.get(f"http://{address}/metrics", timeout=60).text.splitlines())

    def working(*numbers: int) -> set[str]:
        return {
            f'flower_v6_station_working{{station="{node.organization.name}"}} {number:.1f}'
            for node, number in zip(plain.nodes, numbers, strict=False)
        }

    try:
        run.journals.await_training(0, 2)
        wait_until(lambda: working(1, 0) <= served(), "one station works, the other one waits")
        name = plain.nodes[1].organization.name
        counted = f'messages_total{{outcome="reply",station="{name}",type="train"}} 2.0'
        assert f"flower_v6_{counted}" in served()
        run.journals.release(0, 2)
        finish(watching)
    finally:
        watching.stop()
    assert watching.exit_code == 0, watching.log_tail()


def test_a_task_names_the_algorithm_store_that_has_its_image(
    vantage6: Stack, tmp_path: Path
) -> None:
    plain, image = vantage6.plain, "flower-v6.invalid/app:1.0"
    manifest = Manifest("me", "app", "1.0", "1.41.0", "0" * 64, {}, [], "loss")
    researcher = Researcher(plain)
    with store_of(plain, tmp_path, store_entry(image, manifest, {"project": {}})) as url:
        headers = {**researcher.headers, "Server-Url": plain.url}
        entry = requests.get(f"{url}/algorithm", headers=headers, timeout=60).json()["data"][0]
        functions = {each["name"]: each["ui_visualizations"] for each in entry["functions"]}
        assert [each["type"] for each in functions["central"]] == ["table", "table", "line"]
        stores = []
        for submitted in (image, "flower-v6.invalid/another:1.0"):
            ended = flower_v6(login(plain), "submit", submitted, "--detach")
            assert ended.returncode == 0, ended.stderr
            task = _task_in(ended.stdout)
            stores.append(researcher.get(f"task/{task}")["algorithm_store"])
            researcher.delete(f"task/{task}")
    assert [each is not None for each in stores] == [True, False]


@pytest.fixture
def as_researcher(vantage6: Stack, plain: Collaboration) -> dict[str, str]:
    """The login of a user who has vantage6's role of a Researcher."""
    name, password = "rita", "a Secret of 17 characters!"
    Administrator(vantage6.server.url).user(name, password, plain.organizations[0], RESEARCHER)
    return login(plain) | {"FLOWER_V6_USERNAME": name, "FLOWER_V6_PASSWORD": password}


def test_a_run_is_ended_and_nothing_of_it_is_left_at_the_server(
    vantage6: Stack, plain: Collaboration, image_of: ImageOf, as_researcher: dict[str, str]
) -> None:
    image = image_of("faults")
    killed, deleted = (
        FaultsRun(plain, image, stations=(0, 1), hold=[(0, 1), (1, 1)], mode="direct")
        for _ in range(2)
    )
    for run in (killed, deleted):
        for station in (0, 1):
            run.journals.await_training(station, 1)
    first, second = str(killed.task), str(deleted.task)
    message = killed.subtasks[0]

    assert "is only a part of task" in error_of(as_researcher, "kill", str(message["id"]))
    assert f"flower-v6 delete {first} --running" in error_of(as_researcher, "kill", first)
    assert f"Task {first} is active" in error_of(as_researcher, "delete", first)

    containers = [*killed.containers(), *deleted.containers()]
    assert len(containers) == 2 * 5
    tasks = {int(each["id"]) for run in (killed, deleted) for each in run.subtasks}
    assert f"task {first} is killed" in flower_v6(login(plain), "kill", first).stdout
    for each in (("delete", first), ("delete", second, "--running")):
        ended = flower_v6(as_researcher, *each)
        assert ended.returncode == 0, ended.stderr
        assert f"task {each[1]} and its" in ended.stdout
    names = {each.name for each in containers}
    wait_until(
        lambda: not names & {each.name for each in plain.containers()}, "nothing runs any more"
    )
    assert f"There is no task {first}" in error_of(as_researcher, "delete", first)
    assert not {*tasks, killed.task, deleted.task} & tasks_of_runs(vantage6.server.sqlite)
    assert None not in tasks_of_runs(vantage6.server.sqlite)


def tasks_of_runs(database: Path) -> set[int | None]:
    """Return the tasks whose inputs and results a server's database has; None for no task's."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {task for (task,) in connection.execute("select task_id from run")}


def _task_in(shown: str) -> int:
    """Return the number of the task that was submitted."""
    return int(shown.partition("flower-v6 watch ")[2].partition("`")[0])
