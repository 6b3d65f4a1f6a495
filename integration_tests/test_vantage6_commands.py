"""submit, watch and fetch against a real server: what goes wrong is one clear error.

That runs end well: `test_vantage6_results.py`.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from integration_tests.harness import COMMAND, PATIENCE_SECONDS, finish, start, wait_until
from integration_tests.vantage6.command import login
from integration_tests.vantage6.node import Settings
from integration_tests.vantage6.registration import Administrator
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration, Stack

_NOWHERE = "http://127.0.0.1:9/api"


def flower_v6(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with a login in the environment."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=PATIENCE_SECONDS,
        check=False,
    )


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
            wait_until(lambda: "does not answer" in watching.log.read_text(), "it is missed")
        wait_until(lambda: "server is back" in watching.log.read_text(), "it is found")
        researcher.kill(task)
        finish(watching)
    finally:
        watching.stop()
    assert watching.exit_code == 1
    assert f"Task {task} ended: killed by user" in watching.log_tail()
    assert watching.log.read_text().count("holding") == 1


def _task_in(shown: str) -> int:
    """Return the number of the task that was submitted."""
    return int(shown.partition("flower-v6 watch ")[2].partition("`")[0])
