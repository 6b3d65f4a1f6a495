"""Axes have round numbers, and every value a place on them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm.report.charts import HEIGHT, axis, curve_chart

# What `learning` lets through.
NUMBERS = st.floats(-1e100, 1e100, allow_subnormal=False)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.65, 0.91], ["0.6", "0.7", "0.8", "0.9", "1.0"]),
        ([0.0, 2.3], ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]),
        ([1200.0, 4800.0], ["1,000", "2,000", "3,000", "4,000", "5,000"]),
        ([0.0, 0.0], ["-0.6", "-0.4", "-0.2", "0", "0.2", "0.4", "0.6"]),
    ],
)
def test_ticks_are_round_numbers(values: list[float], labels: list[str]) -> None:
    assert [tick.label for tick in axis(values).ticks] == labels


def test_rounds_are_whole_numbers_from_the_first_to_the_last() -> None:
    x = axis([1, 2, 3], whole=True, snug=True)
    assert [(tick.label, tick.place) for tick in x.ticks] == [("1", 0.0), ("2", 50.0), ("3", 100.0)]


@given(st.lists(NUMBERS, min_size=1), st.booleans(), st.booleans())
def test_every_value_is_on_the_axis(values: list[float], whole: bool, snug: bool) -> None:
    drawn = axis(values, whole, snug)
    assert all(0 <= drawn.at(each, 1000) <= 1000 for each in values)
    assert all(-1e-6 <= tick.place <= 100 + 1e-6 for tick in drawn.ticks)
    assert len(drawn.ticks) < 20


def test_a_rising_metric_is_drawn_upwards() -> None:
    chart = curve_chart([1, 2], [], {1: 0.0, 2: 1.0}, ({1: 0.0, 2: 1.0}, {1: 0.0, 2: 1.0}), {})
    (mean,) = chart.lines
    assert mean.path == f"M0 {HEIGHT}L1000 0"
    assert chart.band == f"M0 {HEIGHT}L1000 0L1000 0L0 {HEIGHT}Z"


def test_one_round_is_a_dot() -> None:
    chart = curve_chart([3], [{3: 1.0}], {3: 1.0}, ({3: 1.0}, {3: 1.0}), {3: 1.0})
    assert all(line.dots.endswith("h0") for line in chart.lines)
    assert chart.band == ""
