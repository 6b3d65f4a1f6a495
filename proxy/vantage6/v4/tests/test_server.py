"""The server's API as users and containers see it: what goes in comes out, trouble is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import NotFound, NotPermitted, ServerUnreachable, Vantage6Error
from proxy.tests.helpers import noise, wait_until
from proxy.vantage6.encryption import Encrypted
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import Organization, TaskStatus
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import (
    Asked,
    Ended,
    Failure,
    FakeServer,
    FakeTask,
    private_key,
)

TASK = {"name": "train 1: Beta", "image": "an/image", "collaboration_id": 1}
INPUT = {"method": "courier", "kwargs": {"message_id": "1f", "é": '"'}, "bundle": ""}


def user(fake: FakeServer, folder: Path | None = None) -> Server4:
    """Return the API as a user of the first organization sees it, with its key if there is one."""
    encoding = None
    if folder is not None:
        key = folder / "key.pem"
        key.write_bytes(private_key(1))
        encoding = Encrypted(key)
    return Server4(fake.url, UserLogin(fake.url, "ada", fake.api.password), encoding)


def container(fake: FakeServer) -> Server4:
    """Return the API as a central container at the first organization sees it."""
    token = fake.container_token(fake.start_central())
    return Server4(fake.proxy_url, ContainerLogin(token))


def beta(server: Server4) -> Organization:
    return next(each for each in server.organizations(1) if each.name == "Beta")


def post(server: Server4, folder: Path, content: object = None) -> int:
    payload = folder / "input"
    payload.write_text(json.dumps(INPUT if content is None else content))
    return server.create_task(TASK, "courier", beta(server), payload)


def result(server: Server4, task: int, folder: Path) -> bytes:
    assert wait_until(lambda: server.task_status(task).ended)
    server.save_result(task, folder / "result")
    return (folder / "result").read_bytes()


def wait(task: FakeTask) -> dict[str, Any]:
    task.killed.wait()
    return {}


def echo(task: FakeTask) -> dict[str, Any]:
    return task.input


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("who", ["user", "container"])
@pytest.mark.parametrize("size", [0, 100, 300_000])
def test_an_input_arrives_and_a_result_comes_back(
    who: str, encrypted: bool, size: int, tmp_path: Path
) -> None:
    sent = {**INPUT, "bundle": noise(size).hex()}
    with FakeServer(echo, encrypted=encrypted) as fake:
        server = (
            container(fake) if who == "container" else user(fake, tmp_path if encrypted else None)
        )
        task = post(server, tmp_path, sent)
        assert json.loads(result(server, task, tmp_path)) == sent
        assert fake.tasks[task].input == sent


def test_a_task_is_what_was_asked_for(fake: FakeServer, tmp_path: Path) -> None:
    server = container(fake)
    databases = [{"label": "default"}, {"label": "images"}]
    payload = tmp_path / "input"
    payload.write_text("{}")
    members = {**TASK, "description": "a description", "databases": databases}
    task = server.create_task(members, "courier", beta(server), payload)
    made = fake.tasks[task]
    assert (made.asked.name, made.asked.description) == ("train 1: Beta", "a description")
    assert (made.asked.organization, made.asked.databases) == (2, ("default", "images"))
    assert made.parent is fake.tasks[1]


def test_a_task_that_fails_says_how(tmp_path: Path) -> None:
    def crash(task: FakeTask) -> bytes:
        task.log = "it was too hot\n"
        raise Ended("crashed", b'{"error": "too hot"}')

    with FakeServer(crash) as fake:
        server = user(fake)
        task = post(server, tmp_path)
        assert result(server, task, tmp_path) == b'{"error": "too hot"}'
        assert server.task_status(task).ran
        assert server.run(server.run_of(task)).log == "it was too hot\n"


def test_a_result_is_there_when_the_task_has_ended(tmp_path: Path) -> None:
    with FakeServer(wait) as fake:
        server = container(fake)
        task = post(server, tmp_path)
        assert not server.save_result(task, tmp_path / "result")
        assert not (tmp_path / "result").exists()
        fake.tasks[task].killed.set()
        fake.tasks[task].result, fake.tasks[task].status = b"{}", "completed"
        assert server.save_result(task, tmp_path / "result")
        assert (tmp_path / "result").read_bytes() == b"{}"


def test_a_task_that_ended_without_a_result_has_none(tmp_path: Path) -> None:
    with FakeServer(wait) as fake:
        server = user(fake)
        task = post(server, tmp_path)
        server.kill_task(task)
        with pytest.raises(Vantage6Error, match="has no result"):
            server.save_result(task, tmp_path / "result")


def test_a_log_that_is_not_there_yet_is_empty(fake: FakeServer, tmp_path: Path) -> None:
    server = user(fake)
    assert server.run(server.run_of(post(server, tmp_path))).log == ""


def test_organizations_come_in_the_order_of_their_ids(fake: FakeServer) -> None:
    fake.collaborations[1].organizations.reverse()
    fake.studies[5] = [3, 1]
    server = container(fake)
    assert [each.name for each in server.organizations(1)] == ["Alpha", "Beta", "Gamma"]
    assert [each.name for each in server.organizations(1, study=5)] == ["Alpha", "Gamma"]


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 500])
def test_lists_of_several_pages_are_read_to_the_end(fake: FakeServer, count: int) -> None:
    fake.studies[5] = [1] * count
    assert len(user(fake).organizations(1, study=5)) == count


def test_a_user_sees_which_nodes_are_online(fake: FakeServer) -> None:
    fake.set_node(2, online=False)
    del fake.collaborations[1].nodes[3]
    assert user(fake).nodes(1) == {1: True, 2: False}


def test_a_container_sees_whether_the_node_of_a_task_is_online(
    fake: FakeServer, tmp_path: Path
) -> None:
    server = container(fake)
    task = post(server, tmp_path)
    run = server.run_of(task)
    assert server.run(run).node_online
    fake.set_node(2, online=False)
    assert not server.run(run).node_online


def test_a_task_waits_for_its_node(fake: FakeServer, tmp_path: Path) -> None:
    fake.set_node(2, online=False)
    server = user(fake)
    task = post(server, tmp_path)
    assert server.task_status(task) == TaskStatus("pending")
    fake.set_node(2, online=True)
    assert wait_until(lambda: server.task_status(task).completed)


def test_a_killed_task_takes_its_subtasks_with_it(tmp_path: Path) -> None:
    with FakeServer(wait) as fake:
        below = post(container(fake), tmp_path)
        server = user(fake)
        server.kill_task(1)
        assert {server.task_status(each).name for each in (1, below)} == {"killed by user"}
        with pytest.raises(Vantage6Error, match="already finished"):
            server.kill_task(1)


def test_a_deleted_task_is_gone_and_what_its_subtasks_left_is_out_of_reach(
    tmp_path: Path,
) -> None:
    with FakeServer(wait) as fake:
        below = post(container(fake), tmp_path)
        server = user(fake)
        server.delete_task(1)
        for each in (1, below):
            with pytest.raises(NotFound):
                server.delete_task(each)
        assert [task.id for task in fake.unreachable] == [below]


def test_what_a_role_does_not_allow_is_not_permitted(fake: FakeServer) -> None:
    fake.start_central()
    fake.api.may_kill = fake.api.may_delete = False
    server = user(fake)
    for call in (server.kill_task, server.delete_task):
        with pytest.raises(NotPermitted, match="You lack the permission"):
            call(1)


# Trouble


def test_what_does_not_exist_is_not_found(fake: FakeServer) -> None:
    with pytest.raises(NotFound, match=f"{fake.url}/task/99/status .*99 is not found"):
        user(fake).task_status(99)


def test_a_refusal_says_why(fake: FakeServer, tmp_path: Path) -> None:
    server = user(fake)
    del fake.collaborations[1].nodes[2]
    with pytest.raises(Vantage6Error, match="no nodes registered") as caught:
        post(server, tmp_path)
    assert not isinstance(caught.value, ServerUnreachable)
    (tmp_path / "input").write_text("{}")
    too_long = {**TASK, "description": "d" * 1025}
    with pytest.raises(Vantage6Error, match="Longer than maximum length 1024"):
        server.create_task(too_long, "courier", beta(server), tmp_path / "input")


def test_a_node_that_hides_why_may_be_asked_again(fake: FakeServer, tmp_path: Path) -> None:
    server = container(fake)
    with pytest.raises(ServerUnreachable, match="see node logs"):
        server.nodes(1)
    fake.tasks[1].status = "completed"
    with pytest.raises(ServerUnreachable, match="see node logs"):
        post(server, tmp_path)


@pytest.mark.parametrize("failure", [Failure.ERROR, Failure.LOST, Failure.ANSWER_LOST])
@pytest.mark.parametrize(
    "call", ["GET task/1/status", "GET organization", "POST task", "GET result", "POST kill/task"]
)
def test_what_may_help_to_try_again_is_unreachable(
    call: str, failure: Failure, tmp_path: Path
) -> None:
    with FakeServer(wait) as fake:
        fake.create_task(Asked("a task", "an/image", 1, 1, {}))
        server = user(fake)
        fake.fail_next(failure, call)
        calls: dict[str, Callable[[], object]] = {
            "GET task/1/status": lambda: server.task_status(1),
            "GET organization": lambda: server.organizations(1),
            "POST task": lambda: post(server, tmp_path),
            "GET result": lambda: server.save_result(1, tmp_path / "result"),
            "POST kill/task": lambda: server.kill_task(1),
        }
        with pytest.raises(ServerUnreachable):
            calls[call]()


def test_a_server_that_is_away_is_unreachable_and_then_is_not(fake: FakeServer) -> None:
    server = user(fake)
    with fake.away(), pytest.raises(ServerUnreachable, match="does not answer"):
        server.organizations(1)
    assert server.organizations(1)


def test_a_post_whose_answer_was_lost_made_a_task(fake: FakeServer, tmp_path: Path) -> None:
    server = container(fake)
    fake.fail_next(Failure.ANSWER_LOST, "POST task")
    with pytest.raises(ServerUnreachable):
        post(server, tmp_path)
    assert [task.asked.name for task in fake.tasks.values()] == [
        "Flower: an/image",
        "train 1: Beta",
    ]


def test_a_post_that_a_proxy_repeats_makes_two_tasks(fake: FakeServer, tmp_path: Path) -> None:
    server = container(fake)
    fake.fail_next(Failure.TWICE, "POST task")
    assert post(server, tmp_path) == 3
    assert len(fake.tasks) == 3


def test_a_large_input_is_sent_anew_when_the_token_had_expired(
    fake: FakeServer, tmp_path: Path
) -> None:
    server = user(fake)
    receiver = beta(server)
    (tmp_path / "input").write_text(json.dumps(INPUT))
    fake.expire_tokens("access")
    task = server.create_task(TASK, "courier", receiver, tmp_path / "input")
    assert fake.tasks[task].input == INPUT


def test_proxies_of_the_environment_are_not_for_containers(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = container(fake)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert server.task_status(1) == TaskStatus(fake.tasks[1].status)


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("pending", False),
        ("initializing", False),
        ("active", False),
        ("completed", True),
        ("failed", True),
        ("start failed", True),
        ("non-existing Docker image", True),
        ("crashed", True),
        ("killed by user", True),
        ("not allowed", True),
        ("unknown error", True),
    ],
)
def test_vantage6s_words_for_the_end(name: str, ended: bool) -> None:
    assert TaskStatus(name).ended == ended
    assert TaskStatus(name).explained.startswith(name)
