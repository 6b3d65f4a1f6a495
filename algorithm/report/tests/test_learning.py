"""Metrics by round: means as Flower's own, the spread, and the server's beside them."""

from pathlib import Path

import pytest

from algorithm.report.learning import SERVER, Learning, learning_of
from algorithm.report.reading.results import Results
from algorithm.report.reading.serverapp_log import Metrics, server_metrics
from algorithm.report.tests.runs import outcome, record
from proxy.central.report import MessageRecord


def learned(*messages: MessageRecord, server: Metrics | None = None) -> Learning:
    """Return what was learned in a run."""
    return learning_of(Results(Path("run.json"), outcome(*messages), server=server or {}))


def test_the_mean_is_weighted_by_examples_where_every_reply_names_them() -> None:
    (curve,) = learned(
        record("a", metrics={"loss": 1.0, "num-examples": 300}),
        record("b", metrics={"loss": 2.0, "num-examples": 100}),
        record("a", 2, metrics={"loss": 0.5, "num-examples": 300}),
    ).curves
    assert curve.weighted
    assert (curve.mean, curve.low, curve.high) == (
        {1: 1.25, 2: 0.5},
        {1: 1.0, 2: 0.5},
        {1: 2.0, 2: 0.5},
    )


def test_without_examples_each_station_counts_the_same() -> None:
    (curve,) = learned(
        record("a", metrics={"loss": 1.0}), record("b", metrics={"loss": 2.0})
    ).curves
    assert (curve.weighted, curve.mean, curve.last) == (False, {1: 1.5}, 1.5)


def test_what_never_changes_is_no_curve() -> None:
    learning = learned(*(record("a", step, metrics={"num-examples": 5}) for step in (1, 2)))
    assert learning.curves == []
    assert learning.constant == {"num-examples": {"a": 5.0}}


def test_the_round_of_an_older_strategy_is_its_group() -> None:
    message = record("a", 1, metrics={"loss": 1.0})
    message.group_id = "4"
    (curve,) = learned(message).curves
    assert curve.rounds == [4]


@pytest.mark.parametrize("group", ["²", "1" * 50, "group"])
def test_a_group_that_is_no_round_is_not_one(group: str) -> None:
    message = record("a", 3, metrics={"loss": 1.0})
    message.group_id = group
    (curve,) = learned(message).curves
    assert curve.rounds == [3]


def test_losses_come_first_and_evaluation_before_training() -> None:
    learning = learned(
        *(record("a", s, metrics={"train-loss": s, "f1": s}) for s in (1, 2)),
        *(record("a", s, "evaluate", metrics={"accuracy": s, "loss": s}) for s in (1, 2)),
    )
    assert [curve.title for curve in learning.curves] == [
        "loss (evaluate)",
        "accuracy (evaluate)",
        "train-loss (train)",
        "f1 (train)",
    ]


def test_the_servers_metrics_lie_over_the_stations_of_the_same_name() -> None:
    messages = [record("a", step, "evaluate", metrics={"eval_loss": 1 / step}) for step in (1, 2)]
    loss, other = learned(*messages, server={"loss": {0: 2.0, 1: 1.0}, "f1": {1: 0.5}}).curves
    assert (loss.key, loss.rounds, loss.server) == ("eval_loss", [0, 1, 2], {0: 2.0, 1: 1.0})
    assert (other.key, other.message_type) == ("f1", SERVER)


def test_errors_have_no_metrics() -> None:
    assert learned(record("a", metrics={"loss": 1.0}, error="it broke")).curves == []


def test_ten_thousand_rounds_are_thinned_out_from_first_to_last() -> None:
    (curve,) = learned(*(record("a", s, metrics={"loss": s}) for s in range(1, 10_001))).curves
    assert (curve.rounds[0], curve.rounds[-1]) == (1, 10_000)
    assert len(curve.rounds) <= 300


def test_the_largest_numbers_can_be_drawn() -> None:
    (curve,) = learned(
        *(record("a", s, metrics={"loss": 1.7e308, "num-examples": 1e300}) for s in (1, 2)),
        *(record("b", s, metrics={"loss": -1.7e308 / s**999, "num-examples": 1}) for s in (1, 2)),
    ).curves
    assert all(abs(value) < 1e200 for value in curve.mean.values())


LOG = """\
INFO :      Final results:
INFO :
INFO :      \tServerApp-side Evaluate Metrics:
INFO :      \t{ 0: {'accuracy': '1.0000e-01', 'loss': '2.3015e+00'},
INFO :      \t  1: {'accuracy': '6.2222e-01', 'loss': '1.4308e+00', 'name': 'x'}}
INFO :
"""


def test_what_flower_logs_of_the_server_is_read() -> None:
    assert server_metrics(LOG) == {
        "accuracy": {0: 0.1, 1: 0.62222},
        "loss": {0: 2.3015, 1: 1.4308},
    }


@pytest.mark.parametrize(
    "log",
    [
        "",
        "no results",
        "ServerApp-side Evaluate Metrics:",
        "ServerApp-side Evaluate Metrics:\n{}\n",
        "ServerApp-side Evaluate Metrics:\n{1: {'a': __import__('os')}}\n",
        "ServerApp-side Evaluate Metrics:\n{1: {'a': 'nan', 'b': None, 2: '1e999'}}\n",
        "ServerApp-side Evaluate Metrics:\n" + "{" * 100_000 + "\n",
        "ServerApp-side Evaluate Metrics:\n[1, 2]\n",
        "ServerApp-side Evaluate Metrics:\n{1: {0x" + "f" * 9000 + ": 1.0}}\n",
    ],
)
def test_what_only_looks_like_metrics_is_none(log: str) -> None:
    assert server_metrics(log) == {}
