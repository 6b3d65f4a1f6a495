"""Messages are counted in steps: what goes out together has the same number."""

import pytest

from proxy.report import MessageRecord, Steps


def record(station: str, kind: str = "train", run: str = "5", group_id: str = "") -> MessageRecord:
    return MessageRecord(station, run, kind, group_id, message_id="")


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
    assert [counting.number(record(station)) for station in sent.split()] == steps


def test_types_and_runs_are_counted_apart() -> None:
    counting = Steps()
    sent = [record("north"), record("north", "evaluate"), record("north", run="6")]
    assert [counting.number(each) for each in sent] == [1, 1, 1]


def test_a_message_is_named_by_its_group_or_else_by_its_step() -> None:
    grouped, counted = record("north", group_id="7"), record("north")
    grouped.step = counted.step = 2
    assert (grouped.title, counted.title) == ("train 7", "train 2")
