"""A SuperLink that hands out replies in the order in which it got them."""

from types import SimpleNamespace
from typing import Any

import pytest

from algorithm.flower.scripts.run_superlink import keep_order


def message(number: int) -> Any:
    return SimpleNamespace(metadata=SimpleNamespace(message_id=f"{number}"))


def task(number: int) -> Any:
    return SimpleNamespace(task_id=f"{number}")


class Newer:
    """What flwr 1.18 and newer keeps of messages."""

    def __init__(self, got: list[int]) -> None:
        self.message_res_store = {f"{number}": message(number) for number in got}

    def get_message_res(self, message_ids: list[int], run_id: int) -> list[Any]:
        assert run_id == 7
        return [message(number) for number in message_ids]


class Oldest:
    """What flwr 1.15 keeps of messages: there they are tasks."""

    def __init__(self, got: list[int]) -> None:
        self.task_res_store = {f"{number}": task(number) for number in got}

    def get_task_res(self, task_ids: list[int]) -> list[Any]:
        return [task(number) for number in task_ids]


def test_replies_come_in_the_order_in_which_they_were_pushed() -> None:
    class State(Newer):
        pass

    keep_order(State)
    replies = State([3, 1, 2]).get_message_res(message_ids=[1, 2, 3], run_id=7)
    assert [reply.metadata.message_id for reply in replies] == ["3", "1", "2"]


def test_so_they_do_in_the_oldest_releases() -> None:
    class State(Oldest):
        pass

    keep_order(State)
    assert [reply.task_id for reply in State([3, 1, 2]).get_task_res([1, 2, 3])] == ["3", "1", "2"]


def test_errors_that_the_superlink_makes_itself_come_last() -> None:
    class State(Newer):
        pass

    keep_order(State)
    replies = State([3, 2]).get_message_res([1, 2, 3], 7)
    assert [reply.metadata.message_id for reply in replies] == ["3", "2", "1"]


@pytest.mark.parametrize("state", [object, type("Later", (), {})])
def test_a_release_that_keeps_them_otherwise_keeps_its_order(state: type) -> None:
    keep_order(state)
