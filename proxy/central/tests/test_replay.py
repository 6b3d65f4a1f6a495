"""In which order the messages of a run that goes on may be answered."""

from proxy.central.history import Entry
from proxy.central.replay import Replay


def entry(station: str, content: str, after: int = 0) -> Entry:
    return Entry(station, content, "train", "1", "7", 1, 0.0, content, after=after)


def said(replay: Replay, message: Entry) -> Entry:
    """Have the ServerApp say a message again; returns the one that it said before."""
    known = replay.next(entry(message.station, message.content))
    assert known is not None
    return known


def test_answers_come_in_the_order_in_which_they_became_known() -> None:
    north, south = entry("north", "a", after=2), entry("south", "b", after=2)
    replay = Replay([north, south], [south, north])
    for each in (north, south):
        assert said(replay, each) is each
    assert [replay.may_be_given(each) for each in (north, south)] == [False, True]
    replay.give(south)
    assert replay.may_be_given(north)


def test_a_reply_that_the_serverapp_did_not_wait_for_comes_after_what_it_said_without_it() -> None:
    slow, first, second = entry("slow", "a", 3), entry("quick", "b", 2), entry("quick", "c", 3)
    replay = Replay([slow, first, second], [first, slow, second])
    for each in (slow, first):
        said(replay, each)
    replay.give(first)
    assert not replay.may_be_given(slow)
    said(replay, second)
    assert replay.may_be_given(slow)
    assert not replay.may_be_given(second)


def test_a_new_message_is_answered_when_all_that_are_known_were() -> None:
    known, new = entry("north", "a", after=1), entry("south", "b")
    replay = Replay([known], [known])
    assert replay.next(new) is None
    assert not replay.may_be_given(new)
    said(replay, known)
    replay.give(known)
    assert replay.may_be_given(new)


def test_without_an_order_all_are_answered_as_they_come() -> None:
    known, new = entry("north", "a", after=1), entry("south", "b")
    replay = Replay([known], [known])
    replay.forget_order()
    assert replay.may_be_given(known)
    assert replay.may_be_given(new)
