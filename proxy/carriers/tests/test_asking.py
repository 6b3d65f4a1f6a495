"""A station is asked soon where an answer may be lost, and left in peace where it works."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from proxy.carriers.answers import UNDER_WAY, UNHEARD
from proxy.carriers.asking import Asking
from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.vantage6.server import Run, Server, TaskStatus

ANSWER = {"answer": "a bundle"}
LOST = None
LOOK_SECONDS = 0.5
Says = Mapping[str, Any] | Exception | None


class Hq:
    """What asking tasks leave: one entry each, the last for all further ones; and the time."""

    def __init__(self, *says: Says, takes: float = 2.0) -> None:
        self.now = 0.0
        self.asked: list[float] = []
        self.repeated: list[float] = []
        self.status = "active"
        self._says = says
        self._takes = takes

    def clock(self) -> float:
        return self.now

    def ask(self) -> int:
        self.asked.append(self.now)
        return len(self.asked)

    def repeat(self) -> int:
        self.repeated.append(self.now)
        return 1000 + len(self.repeated)

    def save_result(self, task: int, path: Path) -> bool:
        says = self._says[min(task, len(self._says)) - 1]
        if says is LOST or self.now < self.asked[task - 1] + self._takes:
            return False
        if isinstance(says, Exception):
            raise says
        path.write_text(json.dumps(dict(says)))
        return True

    def run_of(self, task: int) -> int:
        return task

    def run(self, _: int) -> Run:
        return Run(TaskStatus(self.status), node_online=True, log="")


def answered_after(hq: Hq, folder: Path, most: float = 600.0, size: int = 0) -> float:
    """Return the seconds after which the answer is there; the most if it is not."""
    asking = Asking(cast("Server", hq), hq.ask, hq.repeat, size, hq.clock)
    while hq.now < most:
        hq.now += LOOK_SECONDS
        if asking.answered(folder / "answer"):
            return hq.now
    return most


def test_a_lost_answer_is_there_soon(tmp_path: Path) -> None:
    assert answered_after(Hq(ANSWER), tmp_path) < 15


def test_four_answers_that_are_lost_in_a_row_cost_no_half_minute(tmp_path: Path) -> None:
    assert answered_after(Hq(LOST, LOST, LOST, LOST, ANSWER), tmp_path) < 30


def test_what_ends_at_a_node_at_regular_times_does_not_meet_every_question(tmp_path: Path) -> None:
    first, second = Hq(LOST), Hq(LOST)
    for hq in (first, second):
        answered_after(hq, tmp_path)
    assert first.asked != second.asked


def test_large_answers_are_given_their_time_on_the_way(tmp_path: Path) -> None:
    hq = Hq(ANSWER, takes=30.0)
    answered_after(hq, tmp_path, size=100_000_000)
    assert len(hq.asked) == 1
    assert hq.asked[0] > 50


def test_an_answer_that_comes_late_is_taken_though_others_were_asked_for(tmp_path: Path) -> None:
    hq = Hq(ANSWER, takes=20.0)
    assert answered_after(hq, tmp_path) < 30
    assert len(hq.asked) > 1


def test_a_station_that_works_is_asked_four_times_a_minute_at_most(tmp_path: Path) -> None:
    hq = Hq(UNDER_WAY)
    answered_after(hq, tmp_path, 600.0)
    assert len(hq.asked) < 40


def test_the_longer_a_station_works_the_more_rarely_it_is_asked(tmp_path: Path) -> None:
    hq = Hq(UNDER_WAY)
    answered_after(hq, tmp_path, 7200.0)
    assert hq.asked[-1] - hq.asked[-2] > 300


def test_a_node_that_is_silent_is_asked_more_and_more_rarely(tmp_path: Path) -> None:
    hq = Hq(LOST)
    answered_after(hq, tmp_path, 3600.0)
    assert len(hq.asked) < 50


def test_a_node_that_has_not_started_a_question_is_asked_no_other(tmp_path: Path) -> None:
    hq = Hq(LOST)
    hq.status = "pending"
    answered_after(hq, tmp_path, 3600.0)
    assert len(hq.asked) == 1


def test_a_message_that_two_answers_never_heard_of_is_brought_once_more(tmp_path: Path) -> None:
    hq = Hq(UNHEARD, UNHEARD, ANSWER)
    assert answered_after(hq, tmp_path) < 60
    assert len(hq.repeated) == 1


def test_a_message_is_brought_once_more_when_the_server_is_back(tmp_path: Path) -> None:
    class AwayOnce(Hq):
        def repeat(self) -> int:
            number = super().repeat()
            if number == 1001:
                raise ServerUnreachable("away")
            return number

    hq = AwayOnce(UNHEARD)
    asking = Asking(cast("Server", hq), hq.ask, hq.repeat, clock=hq.clock)
    while hq.now < 120.0:
        hq.now += LOOK_SECONDS
        with suppress(ServerUnreachable):
            asking.answered(tmp_path / "answer")
    assert asking.repeated > 1001


def test_a_question_that_fails_is_asked_again(tmp_path: Path) -> None:
    assert answered_after(Hq(Vantage6Error("no result"), ANSWER), tmp_path) < 60


def test_a_server_that_is_away_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable):
        answered_after(Hq(ServerUnreachable("away")), tmp_path)
