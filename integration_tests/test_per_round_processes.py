"""Per-round functions of a user's tasks: vantage6 makes no job for them, so their name does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from algorithm.station.job import Job
from algorithm.tests.node import SECONDS, Node, error_in
from proxy.system.process import Process
from proxy.tests.helpers import Drained

JOB = "5ca1ab1e"


class UsersNode(Node):
    """A node that runs a user's tasks: each is a job of its own."""

    def send(self, sent: Drained, job: str = JOB, **arguments: Any) -> tuple[Process, Path]:
        """Have a message answered by a task of its own."""
        self.job = self.folder / f"job-{len(self.started)}"
        bundle = sent.write(self.folder / f"instruction-{len(self.started)}")
        message_id = sent.metadata.message_id
        return self.start(
            "per_round", bundle, message_id=message_id, node_config="", job=job, **arguments
        )

    def supernodes(self, job: str = JOB) -> int:
        """Return how many SuperNodes were started for a job."""
        log = Job(self.folder / "flower-v6" / job).supernode_log
        return log.read_text().count("node config:") if log.exists() else 0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[UsersNode]:
    node = UsersNode(tmp_path)
    yield node
    node.close()


def test_duplicates_of_a_task_that_run_at_the_same_time_train_once_and_both_answer(
    node: UsersNode,
) -> None:
    sent = Drained()
    tasks = [node.send(sent) for _ in range(3)]
    replies = set()
    for task in tasks:
        with node.answer_of(*task) as reply:
            assert reply.header.WhichOneof("content") == "reply"
            replies.add(reply.path.read_bytes())
    assert len(replies) == 1
    assert node.supernodes() == 1


def test_a_duplicate_that_comes_later_is_answered_with_what_is_there(node: UsersNode) -> None:
    sent = Drained()
    replies = []
    for _ in range(2):
        with node.answer_of(*node.send(sent)) as reply:
            replies.append(reply.path.read_bytes())
    assert replies[0] == replies[1]
    assert node.supernodes() == 1


def test_a_duplicate_of_a_message_whose_reply_was_forgotten_is_not_trained_again(
    node: UsersNode,
) -> None:
    first, second = Drained(), Drained()
    for sent in (first, second):
        node.answer_of(*node.send(sent)).close()
    with node.answer_of(*node.send(first)) as reply:
        assert "does not train twice" in reply.header.failure.reason
    assert node.supernodes() == 2


def test_other_jobs_share_nothing(node: UsersNode) -> None:
    sent = Drained()
    for job in ("1f", "2e"):
        with node.answer_of(*node.send(sent, job)) as reply:
            assert reply.header.WhichOneof("content") == "reply"
    assert [node.supernodes(job) for job in ("1f", "2e")] == [1, 1]


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".", " "])
def test_a_job_whose_name_leads_elsewhere_is_refused(node: UsersNode, name: str) -> None:
    function, output = node.send(Drained(), name)
    assert function.wait(SECONDS)
    assert function.exit_code == 1
    assert f"cannot have {name!r} as job" in error_in(output)
    assert not (node.folder / "flower-v6").exists()
    assert not (node.folder / "elsewhere").exists()


def test_a_reply_that_cannot_be_brought_back_is_an_error_with_both_sizes_and_kept(
    node: UsersNode,
) -> None:
    sent = Drained()
    function, output = node.send(sent, max_reply_bytes=10)
    assert function.wait(SECONDS)
    assert function.exit_code == 1
    assert "the limit of the carrier is 10" in error_in(output)
    with node.answer_of(*node.send(sent, max_reply_bytes=100_000)) as reply:
        assert reply.header.WhichOneof("content") == "reply"
    assert node.supernodes() == 1
