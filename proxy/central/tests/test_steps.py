"""Messages are counted in steps: what goes out together has the same number."""

import pytest

from protos import fleet_pb2 as fleet
from proxy.central.steps import Steps, round_of, title_of
from proxy.fleet.messages import Instruction
from proxy.fleet.releases import Layout


def message(kind: str = "train", run: int = 5, made: float = 0.0) -> Instruction:
    metadata = fleet.Metadata(message_type=kind, run_id=run, created_at=made)
    return Instruction(b"", metadata, (), Layout.TREE)


@pytest.mark.parametrize(
    ("sent", "steps"),
    [
        ("north south", [1, 1]),
        ("north south north south", [1, 1, 2, 2]),
        ("fast fast slow", [1, 2, 2]),
        ("north north south north", [1, 2, 2, 3]),
    ],
)
def test_a_station_that_has_had_its_message_begins_the_next_step(
    sent: str, steps: list[int]
) -> None:
    counting = Steps()
    assert [counting.number(station, message(), 0.0) for station in sent.split()] == steps


def test_what_is_made_after_all_replies_are_there_is_of_the_next_step() -> None:
    counting, first = Steps(), message(made=1000.0)
    assert counting.number("north", first, now=1.0) == 1
    assert counting.number("south", message(made=1000.01), now=1.1) == 1
    for each in (first, message()):
        counting.ended(1, each, now=5.0)
    assert counting.number("west", message(made=1006.0), now=7.0) == 2


def test_what_is_pulled_after_the_others_have_replies_is_still_of_their_step() -> None:
    counting, first = Steps(), message(made=1000.0)
    assert counting.number("north", first, now=1.0) == 1
    counting.ended(1, first, now=1.2)
    assert counting.number("south", message(made=1000.01), now=1.5) == 1


def test_as_long_as_a_reply_is_awaited_its_step_goes_on() -> None:
    counting = Steps()
    assert counting.number("north", message(made=1000.0), now=1.0) == 1
    assert counting.number("south", message(made=1060.0), now=61.0) == 1


def test_types_and_runs_are_counted_apart() -> None:
    counting = Steps()
    sent = [message(), message("evaluate"), message(run=6)]
    assert [counting.number("north", each, 0.0) for each in sent] == [1, 1, 1]


def test_a_message_is_named_by_its_group_or_else_by_its_step() -> None:
    assert (title_of("train", "7", 2), title_of("train", "", 2)) == ("train 7", "train 2")


@pytest.mark.parametrize(
    ("group", "number"),
    [
        ("7", 7),
        ("", 2),
        ("warm-up", 2),
        ("-7", 2),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", 2),
        ("9" * 10, 2),
    ],
)
def test_a_message_is_of_the_round_that_its_group_numbers_or_else_of_its_step(
    group: str, number: int
) -> None:
    assert round_of(group, 2) == number
