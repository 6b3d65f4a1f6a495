"""The program in the container, from its environment variables to its output file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.station.job import Job
from algorithm.station.policy import ALLOWED_MODES
from algorithm.tests.node import SECONDS, Node, error_in
from proxy.errors import HostIdle
from proxy.fleet.messages import ErrorCode
from proxy.system.process import Process
from proxy.tests.helpers import Drained, pid_in, runs, wait_until
from proxy.vantage6 import payload


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.close()


def test_a_host_and_couriers_answer_messages_with_one_supernode(node: Node) -> None:
    sent = Drained()
    node.start_host(sent)
    with node.answer(sent) as reply:
        assert reply.header.WhichOneof("content") == "reply"
    first = pid_in(node.job / "flwr.pid")
    following = Drained()
    with node.answer(following, with_fab=False) as reply:
        assert reply.header.message_id == following.metadata.message_id
        assert reply.header.WhichOneof("content") == "reply"
    assert pid_in(node.job / "flwr.pid") == first


def test_a_supernode_finds_its_databases_in_its_node_config(node: Node) -> None:
    sent = Drained()
    node.start_host(sent)
    node.answer(sent).close()
    log = Job(node.job).supernode_log.read_text()
    assert 'node config: a = 1\ndatabase-uri = "/data.csv"' in log


def test_a_station_without_the_database_that_the_task_asks_for_answers_so(node: Node) -> None:
    node.missing_databases = ("scans",)
    function, output = node.start("courier")
    assert function.wait(SECONDS)
    assert function.exit_code == 1
    assert "needs the database 'scans'" in error_in(output)


@pytest.mark.parametrize("method", ["courier", "per_round"])
def test_a_mode_that_the_owner_forbids_is_refused_and_nothing_starts(
    node: Node, method: str
) -> None:
    node.environment[ALLOWED_MODES] = "direct"
    sent = Drained()
    host, _ = node.start_host(sent)
    with node.answer(sent, method) as reply:
        assert reply.header.failure.code == ErrorCode.MESSAGE_UNAVAILABLE
        assert "the run is in bridge mode" in reply.header.failure.reason
    assert host.running
    assert not Job(node.job).supernode_log.exists()
    assert not (node.job / "flwr.pid").exists()


def test_a_host_that_is_told_to_end_takes_its_supernode_with_it(node: Node) -> None:
    host, _ = node.start_host(Drained())
    supernode = pid_in(node.job / "flwr.pid")
    host.stop()
    assert not runs(supernode)
    assert not Job(node.job).has_host()


def test_a_host_to_which_nothing_comes_ends_by_itself(node: Node) -> None:
    host, output = node.start_host(Drained(), idle_limit=0.1)
    assert host.wait(SECONDS)
    assert host.exit_code == 0
    with payload.read(output) as result:
        assert result.fields == {"served": 0}


def test_a_courier_does_not_wait_for_a_host_that_ended_by_itself(node: Node) -> None:
    sent = Drained()
    host, _ = node.start_host(sent, idle_limit=0.1, name="a1")
    assert host.wait(SECONDS)
    bundle = sent.write(node.folder / "instruction", with_fab=True)
    message = {"message_id": sent.metadata.message_id, "timeout": 2 * SECONDS, "host": "a1"}
    courier, output = node.start("courier", bundle, **message)
    assert courier.wait(SECONDS)
    with payload.read(output) as result:
        assert result.fields["code"] == HostIdle.code
    node.start_host(sent, name="a2")
    with node.answer(sent) as reply:
        assert reply.header.WhichOneof("content") == "reply"


@pytest.mark.parametrize("idle_limit", [float("nan"), 1e308, -1.0])
def test_a_host_that_would_never_end_is_refused(node: Node, idle_limit: float) -> None:
    host, output = node.start_host(Drained(), idle_limit=idle_limit)
    assert host.wait(SECONDS)
    assert host.exit_code == 1
    assert f"cannot have {idle_limit!r} as idle_limit" in error_in(output)


def test_a_second_host_waits_to_take_the_place_of_the_first(node: Node) -> None:
    sent = Drained()
    first, _ = node.start_host(sent)
    assert wait_until(Job(node.job).has_host)
    node.start_host(sent)
    with node.answer(sent) as reply:
        life = reply.header.reply.supernode_life
    first.stop()
    with node.answer(Drained()) as reply:
        assert reply.header.WhichOneof("content") == "reply"
        assert reply.header.reply.supernode_life not in ("", life)


def test_per_round_answers_a_message_and_leaves_no_supernode(node: Node) -> None:
    sent = Drained()
    with node.answer(sent, "per_round") as reply:
        assert reply.header.WhichOneof("content") == "reply"
    left = [path.name for path in node.job.iterdir()]
    assert sorted(left) == ["cache", "messages", "supernode.log", "taken"]


def test_per_round_answers_a_repeated_message_with_the_reply_that_is_there(node: Node) -> None:
    sent = Drained()
    replies = []
    for _ in range(2):
        with node.answer(sent, "per_round") as reply:
            replies.append(reply.path.read_bytes())
    assert replies[0] == replies[1]


def test_per_round_asks_for_an_app_that_it_lacks_without_starting_anything(node: Node) -> None:
    sent = Drained()
    with node.answer(sent, "per_round", with_fab=False) as reply:
        assert reply.header.WhichOneof("content") == "missing_objects"
    assert not Job(node.job).supernode_log.exists()
    with node.answer(sent, "per_round") as reply:
        assert reply.header.WhichOneof("content") == "reply"


def test_a_function_that_does_not_exist_is_refused_naming_those_that_do(node: Node) -> None:
    function, output = node.start("train")
    assert function.wait(SECONDS)
    assert function.exit_code == 1
    assert "failed: The task names the function 'train'" in function.log_tail()
    assert "courier, host, per_round" in function.log_tail()
    assert "The task names the function 'train'" in error_in(output)


def test_a_program_outside_of_a_container_says_what_is_missing(tmp_path: Path) -> None:
    program = Process([sys.executable, "-E", "-P", "-m", "algorithm"], {}, tmp_path / "log")
    assert program.wait(SECONDS)
    program.stop()
    assert program.exit_code == 1
    assert "is missing" in program.log_tail()
    assert "vantage6 node" in program.log_tail()
