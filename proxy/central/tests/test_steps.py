"""Messages are counted in steps: what goes out together has the same number."""

import pytest

from protos import fleet_pb2 as fleet
from proxy.central.steps import Steps, round_of, title_of
from proxy.fleet.messages import Instruction
from proxy.fleet.releases import Layout


def message(kind: str = "train", run: int = 5) -> Instruction:
    metadata = fleet.Metadata(message_type=kind, run_id=run)
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
    assert [counting.number(station, message()) for station in sent.split()] == steps


def test_types_and_runs_are_counted_apart() -> None:
    counting = Steps()
    sent = [message(), message("evaluate"), message(run=6)]
    assert [counting.number("north", each) for each in sent] == [1, 1, 1]


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
