"""The vantage6 5 that other tests stand on is a real one, and nothing is left of it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from integration_tests.harness import alive, descendants, wait_until
from integration_tests.vantage6 import containers
from integration_tests.vantage6.node import Settings
from integration_tests.vantage6_5.busy import keep_busy
from integration_tests.vantage6_5.keycloak import DEVICE_GRANT, TESTS_CLIENT, USERS_CLIENT, Keycloak
from integration_tests.vantage6_5.node import Node
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.stack import Collaboration, Stack, running_stack


@pytest.fixture(params=["plain_5", "encrypted_5"])
def collaboration(request: pytest.FixtureRequest) -> Collaboration:
    """Each of the two collaborations."""
    found: Collaboration = request.getfixturevalue(request.param)
    return found


def holding(
    researcher: Researcher, probe: str, node: Node, action: str = "federated_compute"
) -> int:
    """Start a task that stays until killed; returns its id once it runs."""
    task = researcher.create_as(action, probe, "hold", node.organization.id)
    mark = node.session_folder(researcher.session) / f"holding-{task}"
    wait_until(mark.exists, "its container runs")
    return task


def test_a_container_asks_other_stations_through_its_node(
    collaboration: Collaboration, probe_5: str
) -> None:
    first, *others = collaboration.organizations
    researcher = Researcher(collaboration)
    task = researcher.create(probe_5, "ask", first.id, organizations=[each.id for each in others])
    answers = researcher.result(task)
    assert [answer["action"] for answer in answers] == ["federated_compute"] * 2
    assert [answer["token"] for answer in answers] == [False] * 2


def test_a_session_extracts_a_database_for_later_tasks(
    collaboration: Collaboration, probe_5: str
) -> None:
    researcher, organizations = Researcher(collaboration), collaboration.organizations
    ids = [each.id for each in organizations]
    frame = researcher.extract(probe_5, "extract", "default", ids)
    task = researcher.create_as("federated_compute", probe_5, "look", ids[1], dataframes=[frame])
    answer = researcher.result(task)
    assert answer["table"][1] == f"{organizations[1].name},0"
    assert answer["dataframes"]


def test_hq_sees_what_a_collaboration_does_not_encrypt(
    plain_5: Collaboration, encrypted_5: Collaboration, probe_5: str
) -> None:
    arguments = []
    for collaboration in (plain_5, encrypted_5):
        researcher = Researcher(collaboration)
        task = researcher.create(probe_5, "look", collaboration.organizations[1].id)
        researcher.result(task)
        arguments.append(researcher.run(task)["arguments"])
    assert ["$" in each for each in arguments] == [False, True]


def test_a_container_has_no_way_out(
    vantage6_5: Stack, plain_5: Collaboration, probe_5: str
) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[0]
    actions = ("central_compute", "federated_compute")
    networks = {}
    for action in actions:
        task = researcher.create_as(
            action, probe_5, "reaches", node.organization.id, {"host": "1.1.1.1"}
        )
        assert researcher.result(task) is False
        task = holding(researcher, probe_5, node, action)
        container = node.container(researcher.run(task)["id"])
        networks[action] = containers.networks_of(container)
        researcher.kill(task)
    assert networks == {
        "central_compute": {vantage6_5.cluster.network: True},
        "federated_compute": {"none": False},
    }


def test_a_kill_is_a_sigterm_first(plain_5: Collaboration, probe_5: str) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[0]
    task = holding(researcher, probe_5, node)
    researcher.kill(task)
    ended = node.session_folder(researcher.session) / f"ended-{task}"
    wait_until(ended.exists, "it has ended itself")
    wait_until(lambda: not plain_5.containers(), "the container is gone")
    assert researcher.status_of_run(task) == "killed by user"


def test_a_colleague_and_a_robot_may_create_tasks_but_not_kill(
    plain_5: Collaboration, probe_5: str
) -> None:
    node = plain_5.nodes[0]
    for account in (plain_5.colleague, plain_5.robot):
        researcher = Researcher(plain_5, account)
        task = researcher.create(probe_5, "look", node.organization.id)
        with pytest.raises(AssertionError, match="401"):
            researcher.kill(task)
        assert researcher.result(task)["action"] == "central_compute"


def test_a_killed_container_is_a_crash(plain_5: Collaboration, probe_5: str) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[0]
    task = holding(researcher, probe_5, node)
    node.container(researcher.run(task)["id"]).kill()
    assert researcher.end(task) == "crashed"


def test_what_fails_while_its_node_is_away_is_started_again(
    plain_5: Collaboration, probe_5: str
) -> None:
    """By Kubernetes; and once more by the node when it is back."""
    researcher, node = Researcher(plain_5), plain_5.nodes[1]
    task = holding(researcher, probe_5, node)
    (first,) = node.containers()
    node.kill()
    try:
        first.kill()
        wait_until(lambda: len(node.containers()) == 2, "there is a second container")
        assert {each.run for each in node.containers()} == {first.run}
    finally:
        node.start()
    assert researcher.end(task) == "crashed"
    wait_until(lambda: all(each.running for each in node.containers()), "Kubernetes is done")
    for again in node.containers():
        again.kill()
    wait_until(lambda: not plain_5.containers(), "the containers are gone")


def test_a_stopped_node_runs_its_task_when_it_is_back(plain_5: Collaboration, probe_5: str) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[1]
    with node.stopped():
        task = researcher.create(probe_5, "look", node.organization.id)
        wait_until(
            lambda: researcher.run(task)["node"]["status"] == "offline", "HQ misses the node"
        )
        assert researcher.status_of_run(task) == "pending"
    assert researcher.result(task)["greeting"] is None


def test_hq_that_was_killed_still_has_its_tasks(
    vantage6_5: Stack, plain_5: Collaboration, probe_5: str
) -> None:
    researcher = Researcher(plain_5)
    ended = researcher.create(probe_5, "look", plain_5.organizations[0].id)
    result = researcher.result(ended)
    with plain_5.nodes[1].stopped():
        waiting = researcher.create(probe_5, "look", plain_5.organizations[1].id)
        with vantage6_5.hq.killed():
            pass
        assert researcher.status_of_run(waiting) == "pending"
    assert researcher.result(ended) == result
    assert researcher.end(waiting) == "completed"


def test_an_owner_decides_what_runs_and_what_it_is_told(
    plain_5: Collaboration, probe_5: str
) -> None:
    researcher, node = Researcher(plain_5), plain_5.nodes[2]
    with node.configured(
        replace(node.settings, policies={"allowed_algorithms": ["^another/image"]})
    ):
        task = researcher.create(probe_5, "look", node.organization.id)
        assert researcher.end(task) == "not allowed"
    with node.configured(Settings(node.settings.databases, algorithm_env={"GREETING": "hello"})):
        answer = researcher.result(researcher.create(probe_5, "look", node.organization.id))
        assert answer["greeting"] == "hello"


@pytest.mark.parametrize("where", ["plain_5", "encrypted_5"])
def test_vantage6s_own_client_logs_in_and_has_a_task_done(
    where: str, vantage6_5: Stack, probe_5: str, request: pytest.FixtureRequest
) -> None:
    collaboration: Collaboration = request.getfixturevalue(where)
    answer = vantage6_5.official_client(collaboration, probe_5, collaboration.colleague.username)
    assert answer["me"] == "colleague"
    assert json.loads(answer["result"])["action"] == "federated_compute"


def test_logins_by_device_end_as_the_user_decides(vantage6_5: Stack) -> None:
    keycloak = vantage6_5.keycloak
    flow = DeviceFlow(keycloak)
    assert flow.poll() == "authorization_pending"
    assert flow.poll() == "slow_down"
    flow.decide("deny=yes")
    assert flow.poll() == "access_denied"
    flow = DeviceFlow(keycloak)
    flow.decide("username=colleague")
    assert flow.poll() == ""
    assert flow.poll() == "invalid_grant"
    keycloak.realm.device_seconds = 0
    try:
        flow = DeviceFlow(keycloak)
    finally:
        keycloak.realm.device_seconds = 600
    assert flow.poll() == "expired_token"


def test_users_need_the_device_flow(vantage6_5: Stack, plain_5: Collaboration) -> None:
    """The client of the tests may take passwords; that of users may not, as in a real realm."""
    user = plain_5.colleague
    errors = []
    for client in (TESTS_CLIENT, USERS_CLIENT):
        answer = requests.post(
            f"{vantage6_5.keycloak.realm.issuer}/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": client,
                "username": user.username,
                "password": user.secret,
            },
            timeout=60,
        )
        errors.append(answer.json().get("error"))
    assert errors == [None, "unauthorized_client"]


class DeviceFlow:
    """A login by device flow."""

    def __init__(self, keycloak: Keycloak) -> None:
        self._url = f"{keycloak.realm.issuer}/protocol/openid-connect"
        self._about = self._post("auth/device")

    def decide(self, what: str) -> None:
        """Do what the user does at the page with the code."""
        url = f"{self._about['verification_uri_complete']}&{what}"
        assert requests.get(url, timeout=60).ok

    def poll(self) -> str:
        """Ask for a token; returns the error, empty if there is none."""
        form = {"grant_type": DEVICE_GRANT, "device_code": self._about["device_code"]}
        return self._post("token", **form).get("error", "")

    def _post(self, path: str, **form: str) -> dict[str, str]:
        answer = requests.post(
            f"{self._url}/{path}", data={"client_id": USERS_CLIENT, **form}, timeout=60
        )
        body: dict[str, str] = answer.json()
        return body


def test_nothing_is_left_of_a_stack(vantage6_5: Stack) -> None:
    before = descendants(os.getpid())
    with running_stack() as stack:
        keep_busy(stack)
        processes = descendants(os.getpid()) - before
        assert set(containers.left_of(stack.session)) == {"container", "network", "image"}
    wait_until(lambda: not alive(processes), "its processes have ended")
    assert not stack.folder.exists()
    assert not containers.left_of(stack.session)


def test_the_next_stack_removes_what_a_killed_one_left(vantage6_5: Stack) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-m", "integration_tests.vantage6_5.busy"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert killed.stdout is not None
    session, folder = killed.stdout.readline().split()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not Path(folder).exists(), "its folder is gone")
    assert containers.left_of(session)
    containers.remove_dead_sessions()
    assert not containers.left_of(session)
    assert containers.left_of(vantage6_5.session)
