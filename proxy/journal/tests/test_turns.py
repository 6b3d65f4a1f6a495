"""In which order the messages of a run that goes on may be answered."""

import threading

import pytest

from proxy.clock import SYSTEM_CLOCK, Deadline, SystemClock
from proxy.journal.history import Entry
from proxy.journal.turns import Turns

NEVER = Deadline(SYSTEM_CLOCK)


def entry(station: str, content: str, after: int = 0) -> Entry:
    return Entry(station, content, "train", "1", "7", 1, 0.0, content, after=after)


def test_answers_come_in_the_order_in_which_they_became_known() -> None:
    north, south = entry("north", "a", after=2), entry("south", "b", after=2)
    turns = Turns([north, south], [south, north])
    for known in (north, south):
        turns.say(known)
    assert [turns.has_come(known) for known in (north, south)] == [False, True]
    turns.give(south)
    assert turns.has_come(north)


def test_a_reply_that_the_serverapp_did_not_wait_for_comes_after_what_it_said_without_it() -> None:
    slow, first, second = entry("slow", "a", 3), entry("quick", "b", 2), entry("quick", "c", 3)
    turns = Turns([slow, first, second], [first, slow, second])
    for known in (slow, first):
        turns.say(known)
    turns.give(first)
    assert not turns.has_come(slow)
    turns.say(second)
    assert turns.has_come(slow)
    assert not turns.has_come(second)


def test_a_reply_that_never_came_is_given_after_what_the_serverapp_said_without_it() -> None:
    slow, first, second = entry("slow", "a"), entry("quick", "b", 2), entry("quick", "c")
    turns = Turns([slow, first, second], [first])
    for known in (slow, first):
        turns.say(known)
    turns.give(first)
    assert not turns.has_come(slow)
    turns.say(second)
    assert turns.has_come(slow)


def test_a_new_message_is_answered_when_all_that_are_known_were() -> None:
    known, new = entry("north", "a", after=1), entry("south", "b")
    turns = Turns([known], [known])
    assert not turns.has_come(new)
    turns.say(known)
    turns.give(known)
    assert turns.has_come(new)


def test_if_no_turn_comes_for_long_all_are_answered_as_they_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    known, new = entry("north", "a", after=1), entry("south", "b")
    turns = Turns([known], [known])
    turns.wait(new, 0.0, NEVER, threading.Event())
    assert "in another order than before" in caplog.text
    assert turns.has_come(known)
    assert turns.has_come(new)


def test_a_bridge_that_is_stopped_waits_for_no_turn() -> None:
    known, stop = entry("north", "a", after=1), threading.Event()
    turns = Turns([known], [known])
    stop.set()
    turns.wait(known, 3600.0, NEVER, stop)
    assert not turns.has_come(known)


class Clock(SystemClock):
    """A minute passes whenever it is asked for the time."""

    minutes = 0

    def monotonic(self) -> float:
        self.minutes += 1
        return 60.0 * self.minutes


def test_as_long_as_turns_come_the_order_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A ServerApp may compute for long between what it says."""
    before = [entry("north", str(number), after=number + 1) for number in range(5)]
    slow, stop = entry("south", "slow"), threading.Event()
    turns = Turns(before, before)

    class GoingOn(Clock):
        """Whenever it is asked for the time, the ServerApp says and gets something."""

        def monotonic(self) -> float:
            if before:
                turns.say(before[0])
                turns.give(before.pop(0))
            return super().monotonic()

    turns.wait(slow, 90.0, Deadline(GoingOn()), stop)
    assert turns.has_come(slow)
    assert "another order" not in caplog.text


def test_a_reply_that_waits_for_another_station_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away, there = entry("north", "a"), entry("south", "b")
    turns = Turns([away, there], [away, there])
    turns.say(away)
    turns.say(there)

    class ComesLate(Clock):
        """The station that is away is back after some minutes."""

        def monotonic(self) -> float:
            if self.minutes == 5:
                turns.give(away)
            return super().monotonic()

    turns.wait(there, 3600.0, Deadline(ComesLate()), threading.Event())
    assert turns.has_come(there)
    [told] = caplog.messages
    assert "station south" in told
    assert "waits for that of station north" in told
