"""HQ's API as users and containers see it, and what it shows that is not so."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import Vantage6Error
from proxy.platforms import VANTAGE6_5
from proxy.tests.helpers import wait_until
from proxy.vantage6.encryption import Encrypted
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import TaskStatus
from proxy.vantage6.testing.keys import private_key
from proxy.vantage6.testing.model import Ended, FakeTask
from proxy.vantage6.v5 import server as module
from proxy.vantage6.v5.server import Server5, padded, readable
from proxy.vantage6.v5.testing import FakeHq

TASK = {"name": "train 1: Beta", "image": "an/image", "collaboration_id": 1, "session_id": 1}


@pytest.fixture
def fake() -> Iterator[FakeHq]:
    with FakeHq(lambda task: task.input) as fake:
        yield fake


def user(fake: FakeHq, folder: Path | None = None) -> Server5:
    encoding = None
    if folder is not None:
        (folder / "key.pem").write_bytes(private_key(1))
        encoding = Encrypted(folder / "key.pem")
    return Server5(fake.url, ContainerLogin("a token"), encoding)


def container(fake: FakeHq) -> Server5:
    return Server5(fake.proxy_url, ContainerLogin(fake.container_token(fake.start_central())))


def create(server: Server5, folder: Path, method: str = "courier", text: str = "{}") -> int:
    payload = folder / "payload"
    payload.write_text(text)
    beta = server.organizations(1)[1]
    return server.create_task(TASK, method, beta, payload)


def result(server: Server5, task: int, folder: Path) -> bytes:
    path = folder / "result"
    wait_until(lambda: server.save_result(task, path))
    return path.read_bytes()


@pytest.mark.parametrize("who", [user, container])
def test_the_function_is_a_member_of_the_task_and_its_arguments_are_the_input(
    fake: FakeHq, tmp_path: Path, who: type[Server5]
) -> None:
    server = who(fake)
    arguments = server.arguments("courier", {"message_id": "1f"})
    task = create(server, tmp_path, text=json.dumps(arguments))
    asked = {"method": "courier", "kwargs": {"message_id": "1f"}}
    assert json.loads(result(server, task, tmp_path)) == asked
    assert server.task_status(task).completed


@pytest.mark.parametrize(
    ("method", "action"),
    [("central", "central_compute"), ("host", "federated_compute"), ("ask", "federated_compute")],
)
def test_only_a_central_function_gets_a_token_and_a_network(
    fake: FakeHq, tmp_path: Path, method: str, action: str
) -> None:
    create(user(fake), tmp_path, method)
    assert fake.api.members[0]["action"] == action


@pytest.mark.parametrize("size", range(2, 8))
def test_in_an_encrypted_collaboration_an_input_of_any_length_arrives(
    tmp_path: Path, size: int
) -> None:
    with FakeHq(lambda task: task.input, encrypted=True) as fake:
        server = user(fake, tmp_path)
        task = create(server, tmp_path, text="{}".ljust(size))
        assert json.loads(result(server, task, tmp_path))["kwargs"] == {}


def test_a_blank_is_added_only_where_it_is_needed() -> None:
    assert b"".join(padded([b"{}"])) == b"{}"
    assert b"".join(padded([b'{"', b'a":1}'])) == b'{"a":1}'
    assert b"".join(padded([b'{"a', b'":12}'[:0], b'b":1}'])) == b'{"ab":1}'
    assert b"".join(padded([b"{ }"])) == b"{ } "


def test_who_calls_has_an_organization(fake: FakeHq) -> None:
    assert user(fake).own_organization() == 1


def test_a_failure_without_an_end_may_be_a_moment_only(tmp_path: Path) -> None:
    with FakeHq(lambda _: None) as fake:
        server = user(fake)
        task = create(server, tmp_path)
        fake.api.moments.add(task)
        run = server.run(server.run_of(task))
        assert (run.status.name, run.status.ended) == ("unknown error", False)
        assert not server.task_status(task).ended
        assert not server.save_result(task, tmp_path / "result")


def test_a_failure_that_stays_is_no_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHq(lambda _: None) as fake:
        server = user(fake)
        task = create(server, tmp_path)
        fake.api.moments.add(task)
        assert not server.task_status(task).ended
        monkeypatch.setattr(module, "_MOMENT_SECONDS", 0.0)
        assert server.task_status(task) == TaskStatus("unknown error")


def test_what_could_not_be_started_has_ended(tmp_path: Path) -> None:
    def missing(_: FakeTask) -> bytes:
        raise Ended("non-existing Docker image")

    with FakeHq(missing) as fake:
        server = user(fake)
        task = create(server, tmp_path)
        wait_until(lambda: server.task_status(task).ended)
        assert "neither find nor pull" in server.task_status(task).explained


def test_what_a_function_that_crashed_had_written_is_lost(tmp_path: Path) -> None:
    def crash(_: FakeTask) -> bytes:
        raise Ended("crashed", b'{"error": "why"}')

    with FakeHq(crash) as fake:
        server = user(fake)
        task = create(server, tmp_path)
        with pytest.raises(Vantage6Error, match="has no result"):
            result(server, task, tmp_path)


def test_subtasks_that_fail_for_a_moment_have_not_ended(tmp_path: Path) -> None:
    with FakeHq(lambda _: None) as fake:
        server = container(fake)
        fake.api.moments.add(create(server, tmp_path))
        [subtask] = server.subtasks(1, 1, 10)
        assert (subtask.name, subtask.status.ended) == ("train 1: Beta", False)


def test_a_containers_tasks_have_its_session_and_its_dataframes(fake: FakeHq) -> None:
    login = ContainerLogin(fake.container_token(fake.start_central("me/app:1")))
    members = Server5(fake.proxy_url, login).members_below(login.claims, [9])
    assert members == {
        "image": "me/app:1",
        "collaboration_id": 1,
        "session_id": 1,
        "databases": [[{"type": "dataframe", "dataframe_id": each}] for each in (7, 9)],
    }


def test_the_log_is_read_as_it_was_printed() -> None:
    head = "LOGS of POD vantage6-run-3-05d9d (created by job vantage6-run-3) \n\n "
    assert readable(head + "b'it\\'s\\r\\n\\xc3\\xa9 \"1\"\\r\\n'") == head + 'it\'s\né "1"\n'
    assert readable("plain b'\\xzz'") == "plain b'\\xzz'"


def test_the_platform_is_that_of_its_containers() -> None:
    assert Server5.platform is VANTAGE6_5
