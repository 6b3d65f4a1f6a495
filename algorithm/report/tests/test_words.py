"""Numbers are written as a person says them."""

import math

import pytest

from algorithm.report import words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0.00 s"),
        (0.214, "0.21 s"),
        (7.64, "7.6 s"),
        (59.96, "1 min 0 s"),
        (113.4, "1 min 53 s"),
        (7500, "2 h 5 min"),
        (-3.0, "0.00 s"),
        (1e300, "277,777 h 46 min"),
    ],
)
def test_a_duration(value: float, said: str) -> None:
    assert words.seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.28341, "0.2834"), (143.0, "143"), (None, "-"), (math.nan, "-"), (1e-9, "1e-09")],
)
def test_a_metric(value: float | None, said: str) -> None:
    assert words.number(value) == said


def test_one_and_many() -> None:
    assert words.count(1, "error reply") == "1 error reply"
    assert words.count(1200, "error reply") == "1,200 error replies"


def test_a_time_that_is_not_known_is_not_made_up() -> None:
    assert words.moment(1_767_225_600.0) == "2026-01-01 00:00:00 UTC"
    assert words.moment(0.0) == words.moment(1e300) == words.moment(-5.0) == ""


def test_a_small_share_is_not_nothing() -> None:
    assert [words.percent(each) for each in (0.0, 0.4, 64.9)] == ["0 %", "under 1 %", "65 %"]
