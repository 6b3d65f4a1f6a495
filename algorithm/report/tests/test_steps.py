"""A run's time: who waited for whom, and what it went to."""

from dataclasses import replace

import pytest

from algorithm.report.lanes import lanes_of
from algorithm.report.steps import timeline_of
from algorithm.report.tests.runs import BEGAN, SECONDS, outcome, record

SLOW = SECONDS | {"clientapp": 5.0}


def test_a_step_lasts_until_its_last_reply_and_the_others_waited() -> None:
    timeline = timeline_of(outcome(record("a"), record("b", seconds=SLOW), record("c")))
    (step,) = timeline.steps
    assert (step.title, step.seconds, step.waited) == ("train 1", 7.0, 3.0)
    assert (step.slowest.record.station, step.slowest.longest_stage) == ("b", "clientapp")


def test_steps_are_in_the_order_of_their_starts_whoever_answered_first() -> None:
    timeline = timeline_of(outcome(record("a", 2), record("a", 1), record("b", 1)))
    assert [step.title for step in timeline.steps] == ["train 1", "train 2"]
    assert (timeline.began, timeline.seconds) == (BEGAN + 10, 14.0)


def test_a_runs_time_is_that_of_the_messages_that_were_waited_for_and_the_rest() -> None:
    timeline = timeline_of(outcome(record("a"), record("b", seconds=SLOW), record("a", 2)))
    assert timeline.spent["clientapp"] == 5.0 + 2.0
    assert timeline.outside == 60.0 - 7.0 - 4.0


def test_steps_that_overlap_count_once() -> None:
    timeline = timeline_of(outcome(record("a"), record("b", message_type="query")))
    assert timeline.outside == 60.0 - 4.0


def test_without_wall_time_steps_lie_one_after_another() -> None:
    messages = [replace(record("a", step), at=0.0) for step in (1, 2, 3)]
    timeline = timeline_of(outcome(*messages))
    assert not timeline.clock
    assert [step.start for step in timeline.steps] == [0.0, 4.0, 8.0]


def test_stages_follow_one_another_with_half_of_the_way_on_either_side() -> None:
    (step,) = timeline_of(outcome(record("a"))).steps
    assert [(name, end - start) for name, start, end in step.slowest.stages()] == [
        ("drain", 0.5),
        ("carry", 0.5),
        ("handover", 0.5),
        ("clientapp", 2.0),
        ("carry", 0.5),
    ]


@pytest.mark.parametrize("at", [-1.0, 1e300])
def test_an_impossible_clock_is_no_clock(at: float) -> None:
    assert not timeline_of(outcome(record("a", at=at))).clock


def test_no_messages_are_no_steps() -> None:
    timeline = timeline_of(outcome())
    assert (timeline.steps, timeline.seconds, timeline.outside) == ((), 0.0, 60.0)
    assert lanes_of(timeline).lanes == []


def test_each_station_has_a_lane_that_tells_of_its_messages() -> None:
    messages = (record("a"), record("b", seconds=SLOW, error="it broke"))
    first, second = lanes_of(timeline_of(outcome(*messages))).lanes
    (waited,), (failed,) = first.marks, second.marks
    assert waited.title == (
        "train 1 at a: 4.0 s, most of it in clientapp; then waited 3.0 s for others"
    )
    assert "waits" in waited.paths
    assert failed.title.endswith("; an error")
    assert "failed" in failed.paths


def test_of_a_thousand_stations_the_slowest_have_lanes() -> None:
    messages = [record(f"station-{each:04}") for each in range(1000)]
    messages[500] = record("station-0500", seconds=SLOW)
    lanes = lanes_of(timeline_of(outcome(*messages)))
    assert len(lanes.lanes) + lanes.hidden == 1000
    assert "station-0500" in {lane.station for lane in lanes.lanes}
    assert len(lanes.lanes) < 100
