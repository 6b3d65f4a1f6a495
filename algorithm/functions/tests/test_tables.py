"""What a result shows in vantage6's web interface: every row is complete, and none is missing."""

from typing import Any

import pytest

from algorithm.functions.tables import CHART, ROUNDS, ROWS, tables
from algorithm.monitoring.outcome import Outcome
from proxy.central.report import MessageRecord
from proxy.fleet.metrics import Metrics
from proxy.text import cleaned


def message(
    station: str, step: int, metrics: Metrics, error: str = "", kind: str = "train", group: str = ""
) -> MessageRecord:
    return MessageRecord(
        station, "7", kind, group, f"{station}-{step}", step, metrics=metrics, error=error
    )


def of(*messages: MessageRecord, chart: str = "", cause: str = "") -> dict[str, Any]:
    """Return the tables of a run, which completed unless there is a cause for that it did not."""
    outcome = Outcome(
        *("me/app 1.0", "1.41.0", "warm", ["Alpha", "Beta"]),
        status="failed" if cause else "completed",
        cause=cause,
        messages=list(messages),
    )
    return tables(outcome, chart)


def test_each_reply_is_a_row_and_all_rows_have_the_same_columns() -> None:
    found = of(
        message("Beta", 1, {"loss": 0.75, "num-examples": 30}),
        message("Alpha", 1, {"num-examples": 10}),
        message("Alpha", 1, {"loss": 0.5, "accuracy": 0.9}, kind="evaluate"),
    )
    columns = ["round", "message_type", "organization", "accuracy", "loss", "num-examples", "error"]
    assert [list(row) for row in found[ROWS]] == [columns] * 3
    assert [list(row.values()) for row in found[ROWS]] == [
        [1, "train", "Alpha", "", "", 10, ""],
        [1, "train", "Beta", "", 0.75, 30, ""],
        [1, "evaluate", "Alpha", 0.9, 0.5, "", ""],
    ]


def test_rows_are_in_the_order_of_rounds_and_organizations() -> None:
    found = of(*(message(name, step, {}) for name, step in [("B", 10), ("A", 9), ("A", 10)]))
    assert [(row["round"], row["organization"]) for row in found[ROWS]] == [
        (9, "A"),
        (10, "A"),
        (10, "B"),
    ]


def test_a_round_is_a_row_of_means_weighted_by_examples() -> None:
    found = of(
        message("Alpha", 1, {"loss": 0.25, "num-examples": 10}),
        message("Beta", 1, {"loss": 0.75, "num-examples": 30}),
        message("Alpha", 1, {"loss": 0.5}, kind="evaluate"),
        message("Beta", 1, {}, error="it crashed", kind="evaluate"),
    )
    assert found[ROUNDS] == [
        {
            **{"round": 1, "message_type": "train", "stations": 2, "errors": 0},
            **{"loss": 0.625, "num-examples": 40, "error": ""},
        },
        {
            **{"round": 1, "message_type": "evaluate", "stations": 2, "errors": 1},
            **{"loss": 0.5, "num-examples": "", "error": "it crashed"},
        },
    ]


@pytest.mark.parametrize(
    "examples",
    [
        [{"num_examples": 10}, {"num_examples": 30}],  # FitRes and EvaluateRes
        [{"num-examples": 1.0}, {"num-examples": 3.0}],
    ],
)
def test_examples_are_counted_as_in_all_apis_of_flower(examples: list[Metrics]) -> None:
    replies = [{"loss": 0.25}, {"loss": 0.75}]
    found = of(*(message("A", 1, {**a, **b}) for a, b in zip(replies, examples, strict=True)))
    assert found[ROUNDS][0]["loss"] == 0.625


@pytest.mark.parametrize("examples", [[{}, {"num-examples": 3}], [{"num-examples": 0}] * 2])
def test_without_examples_each_station_counts_the_same(examples: list[Metrics]) -> None:
    found = of(message("A", 1, {"loss": 0.25, **examples[0]}), message("B", 1, {"loss": 0.75}))
    assert found[ROUNDS][0]["loss"] == 0.5


def test_an_error_reply_is_seen_as_one() -> None:
    found = of(message("Alpha", 1, {"loss": 0.5}), message("Beta", 1, {}, error="it\ncrashed" * 99))
    assert [row["error"][:10] for row in found[ROWS]] == ["", "it crashed"]
    assert len(found[ROWS][1]["error"]) <= 300


@pytest.mark.parametrize("messages", [[], [message("Alpha", 3, {"loss": 0.5})]])
def test_a_run_that_failed_has_a_row_that_says_why(messages: list[MessageRecord]) -> None:
    found = of(*messages, cause="no station is left", chart="loss")
    for table in (found[ROWS], found[ROUNDS]):
        assert (table[-1]["message_type"], table[-1]["error"]) == ("run", "no station is left")
        assert len(table) == len(messages) + 1


def test_a_run_without_messages_has_a_row_too() -> None:
    found = of(chart="loss")
    assert "no message" in found[ROWS][0]["error"]


def test_a_round_is_what_the_serverapp_calls_one() -> None:
    found = of(
        message("A", 1, {}, group="2"),
        message("A", 3, {}, group="warm-up"),
        message("A", 4, {}, group="9" * 5000),
    )
    assert [row["round"] for row in found[ROWS]] == [2, 3, 4]


def test_a_metric_does_not_take_the_place_of_what_makes_it_a_row() -> None:
    [row] = of(message("Alpha", 1, {"round": 7, "organization": 5, "error": 1, "a": 1}))[ROWS]
    about = {"round": 1, "message_type": "train", "organization": "Alpha"}
    assert row == {**about, "a": 1, "error": ""}


def test_numbers_are_such_as_the_page_shows() -> None:
    [row] = of(message("A", 1, {"loss": 0.1234567890123, "count": 3, "id": 2**63}))[ROWS]
    assert (row["loss"], row["count"], row["id"]) == (0.123457, 3, str(2**63))
    [of_round] = of(*[message("A", 1, {"num-examples": 1.7e308})] * 2)[ROUNDS]
    assert of_round["num-examples"] == "inf"


def test_the_mean_of_the_largest_numbers_is_one_of_them() -> None:
    largest = {"loss": 1.7e308}
    found = of(*(message(name, 1, largest) for name in ("A", "B", "C")))
    assert found[ROUNDS][0]["loss"] == 1.7e308


def test_of_many_metrics_the_most_frequent_are_shown() -> None:
    many = {f"metric-{number:04}": 0.5 for number in range(999)}
    found = of(message("A", 1, many | {"z": 1}), message("B", 1, {"z": 1}))
    columns = list(found[ROWS][0])
    assert len(columns) == 100 + 4
    assert "z" in columns


# The chart


def test_there_is_a_chart_only_where_the_image_has_one() -> None:
    replies = [message("A", step, {"loss": 1 / step}, kind="evaluate") for step in (1, 2)]
    assert CHART not in of(*replies)
    assert of(*replies, chart="loss")[CHART] == {"round": [1, 2], "loss": [1.0, 0.5]}


def test_the_chart_has_the_rounds_that_have_its_metric_once_each() -> None:
    found = of(
        message("A", 1, {"loss": 0.9}),
        message("A", 1, {"loss": 0.5}, kind="evaluate"),
        message("A", 2, {"loss": 0.8}),
        message("A", 3, {}),
        chart="loss",
    )
    assert found[CHART] == {"round": [1, 2], "loss": [0.5, 0.8]}


def test_a_metric_that_no_reply_has_leaves_a_chart_without_a_point() -> None:
    found = of(message("A", 1, {"accuracy": 1}), chart="loss")
    assert found[CHART] == {"round": [0], "loss": [None]}


def test_a_metric_whose_name_hides_something_takes_no_columns_place() -> None:
    found = cleaned(of(message("Alpha", 3, {"round\u200b": 0.5, "loss\x00": 0.1, "loss": 0.2})))
    assert [(row["round"], row["loss"]) for row in found[ROWS]] == [(3, 0.2)]
