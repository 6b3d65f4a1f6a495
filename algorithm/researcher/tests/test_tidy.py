"""What a run's messages left at the server is deleted behind it, and nothing that is needed."""

import io
from collections.abc import Iterator

import pytest

from algorithm.monitoring.screen import Screen
from algorithm.researcher.tidy import Tidier, done_with
from algorithm.tests.vantage6 import add_subtask
from proxy.vantage6.server import Subtask, TaskStatus
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import Failure, FakeServer

Given = tuple[str, str]


def subtasks(*given: Given) -> list[Subtask]:
    """Return subtasks with these names and statuses, the oldest first."""
    return [
        Subtask(number, name, TaskStatus(status)) for number, (name, status) in enumerate(given, 1)
    ]


@pytest.mark.parametrize(
    ("given", "done"),
    [
        ([("host: A", "active"), ("train 1: A", "completed")], []),
        ([("train 1: A", "completed"), ("train 2: B", "active")], []),
        ([("train 1: A", "completed"), ("evaluate 1: A", "active")], [1]),
        ([("train 1: A", "active"), ("train 2: A", "active")], []),
        ([("train 1: A", "crashed"), ("train 1: A", "active")], []),
        ([("host: A", "completed"), ("host: A", "active"), ("train 1: A", "active")], []),
        (
            [
                *(("train 1: A", "completed"), ("train 1: B: C", "completed")),
                *(("evaluate 1: B: C", "completed"), ("evaluate 1: A", "completed")),
                ("train 2: A", "active"),
            ],
            [1, 2, 4],
        ),
    ],
)
def test_a_message_is_done_with_when_its_station_has_another(
    given: list[Given], done: list[int]
) -> None:
    assert sorted(each.id for each in done_with(subtasks(*given))) == done


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server where task 1 is a central and has two messages of Alpha; the first is answered."""
    with FakeServer(lambda _: None) as fake:
        central = fake.start_central()
        add_subtask(fake, central, "train 1: Alpha", 1).status = "completed"
        add_subtask(fake, central, "train 2: Alpha", 1)
        yield fake


class Tidied:
    """A tidier, and what it is told."""

    def __init__(self, fake: FakeServer) -> None:
        self.shown = io.StringIO()
        server = Server4(fake.url, UserLogin(fake.url, "ada", fake.api.password))
        self._tidier = Tidier(server, Screen(self.shown))
        self._subtasks = [
            Subtask(task.id, task.asked.name, TaskStatus(task.status))
            for task in fake.tasks.values()
            if task.parent is not None
        ]

    def tidy(self, at_the_end: bool = False) -> None:
        self._tidier.tidy(self._subtasks, at_the_end)


@pytest.fixture
def tidied(fake: FakeServer) -> Tidied:
    return Tidied(fake)


def test_what_is_done_with_is_deleted_once(fake: FakeServer, tidied: Tidied) -> None:
    tidied.tidy()
    tidied.tidy()
    assert list(fake.tasks) == [1, 3]
    assert fake.requests.count("DELETE task/2") == 1


def test_at_the_end_all_messages_are_deleted_and_the_run_stays(
    fake: FakeServer, tidied: Tidied
) -> None:
    tidied.tidy(at_the_end=True)
    assert list(fake.tasks) == [1]


def test_tasks_that_are_no_messages_of_a_run_stay(fake: FakeServer) -> None:
    add_subtask(fake, fake.tasks[1], "average", 1).status = "completed"
    add_subtask(fake, fake.tasks[1], "variance", 1)
    tidied = Tidied(fake)
    tidied.tidy()
    tidied.tidy(at_the_end=True)
    assert list(fake.tasks) == [1, 4, 5]


def test_a_user_who_may_not_is_told_once(fake: FakeServer, tidied: Tidied) -> None:
    fake.api.may_delete = False
    for _ in range(2):
        tidied.tidy(at_the_end=True)
    assert tidied.shown.getvalue().count("your role does not allow you") == 1
    assert list(fake.tasks) == [1, 2, 3]


def test_a_server_that_is_away_is_asked_again(fake: FakeServer, tidied: Tidied) -> None:
    fake.fail_next(Failure.ERROR, "DELETE task/2")
    tidied.tidy()
    assert list(fake.tasks) == [1, 2, 3]
    tidied.tidy()
    assert list(fake.tasks) == [1, 3]


def test_what_stays_at_the_end_is_said(fake: FakeServer, tidied: Tidied) -> None:
    fake.fail_next(Failure.ERROR, "DELETE task/2")
    tidied.tidy(at_the_end=True)
    assert list(fake.tasks) == [1, 2]
    assert "of the run's tasks 1 stay there" in tidied.shown.getvalue()
