"""The tables of each kind of run are such as vantage6's web interface can show; others are not."""

from collections.abc import Mapping
from typing import Any

import pytest

from algorithm.functions.tables import only, tables
from algorithm.monitoring.outcome import Outcome
from integration_tests.vantage6.page import shown
from proxy.central.report import MessageRecord

ANSWERED = MessageRecord(
    *("Alpha", "7", "train", "", "1f", 1), metrics={"loss": 0.25, "num-examples": 2**60}
)
FAILED = MessageRecord(*("Beta", "7", "train", "", "2f", 1), error="it crashed")
ROW: dict[str, Any] = {"round": 1, "loss": 0.5, "error": ""}


def outcome(status: str, *messages: MessageRecord) -> Outcome:
    cause = "" if status == "completed" else "no station is left"
    stations = ["Alpha", "Beta"]
    return Outcome(
        *("me/app 1.0", "1.41.0", "warm", stations),
        status=status,
        cause=cause,
        messages=list(messages),
    )


@pytest.mark.parametrize("chart", ["", "loss", "none"])
@pytest.mark.parametrize("status", ["completed", "failed"])
@pytest.mark.parametrize("messages", [[], [ANSWERED], [FAILED], [FAILED, ANSWERED]])
def test_whatever_became_of_a_run_can_be_shown(
    status: str, messages: list[MessageRecord], chart: str
) -> None:
    found = shown(tables(outcome(status, *messages), chart))
    assert len(found["metrics"].rows) == max(1, len(messages) + (status == "failed"))


def test_a_refusal_can_be_shown() -> None:
    found = shown(only("There is no argument 'rounds'.", "loss"))
    assert found["metrics"].rows[0][-1] == "There is no argument 'rounds'."


@pytest.mark.parametrize(
    "members",
    [
        {"metrics": []},
        {"rounds": {"round": [1], "loss": [0.5]}},
        {"metrics": [ROW, {**ROW, "accuracy": 1}]},
        {"metrics": [ROW, dict(reversed(ROW.items()))]},
        {"rounds": [{**ROW, "loss": None}]},
        {"rounds": [{**ROW, "loss": [0.5]}]},
        {"rounds": [{**ROW, "id": 2**60}]},
        {"chart": {"round": [], "loss": []}},
        {"chart": {"round": [1, 2], "loss": [0.5]}},
        {"chart": {"round": [1], "loss": [0.5], "accuracy": [1]}},
    ],
)
def test_what_the_page_cannot_show_is_found(members: Mapping[str, Any]) -> None:
    whole = {"metrics": [ROW], "rounds": [ROW], "chart": {"round": [1], "loss": [None]}}
    shown(whole)
    with pytest.raises(AssertionError):
        shown({**whole, **members})
