"""`run.json` has one schema: what is written is read, and is JSON whatever a station said."""

import json
import math
from dataclasses import asdict
from typing import Any

import pytest

from algorithm.monitoring.outcome import SCHEMA, Outcome
from proxy import strict_json
from proxy.central.report import MessageRecord

RECORD = MessageRecord(
    "Alpha", "7", "train", "1", "1f", seconds={"carry": 1.5}, metrics={"loss": 0.5, "n": 3}
)
OUTCOME = Outcome("app", "1.41.0", "warm", ["Alpha"], status="completed", messages=[RECORD])


def strictly(text: str) -> Any:
    """Read JSON as a browser does."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_an_outcome_is_read_as_it_was_written() -> None:
    assert asdict(Outcome.checked(strictly(OUTCOME.text()))) == asdict(OUTCOME)


def test_an_outcome_says_of_which_schema_it_is() -> None:
    assert strictly(OUTCOME.text())["schema"] == SCHEMA


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_outcome_is_json_whatever_number_is_in_it(number: float) -> None:
    record = MessageRecord(
        "Alpha",
        *("7", "train", "1", "1f"),
        seconds={"carry": number, "store": 1.0},
        clientapp_runtime=number,
        metrics={"loss": number, "accuracy": 0.5},
    )
    text = Outcome("app", "1.41.0", "warm", ["Alpha"], seconds=number, messages=[record]).text()
    (said,) = strictly(text)["messages"]
    assert (said["seconds"], said["metrics"]) == ({"store": 1.0}, {"accuracy": 0.5})
    assert Outcome.checked(strictly(text)).seconds == 0.0


def test_what_a_newer_release_adds_is_passed_over() -> None:
    members = OUTCOME.members()
    members["messages"][0]["energy"] = 3
    assert asdict(Outcome.checked({**members, "energy": 3})) == asdict(OUTCOME)


def test_what_an_older_release_did_not_write_has_its_default() -> None:
    members = {key: value for key, value in OUTCOME.members().items() if key != "left_out"}
    assert Outcome.checked(members).left_out == []


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": SCHEMA + 1},
        {"schema": "1"},
        {"app": None},
        {"status": "well"},
        {"seconds": "1"},
        {"seconds": True},
        {"stations": "Alpha"},
        {"messages": [7]},
        {"messages": [{**asdict(RECORD), "metrics": {"loss": "low"}}]},
        {"messages": [{**asdict(RECORD), "error_code": "8"}]},
        {"messages": [{**asdict(RECORD), "bytes_out": 1.5}]},
    ],
)
def test_what_is_no_outcome_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"its|it has"):
        Outcome.checked({**OUTCOME.members(), **changed})


@pytest.mark.parametrize("text", [b"", b"[" * 100_000, b"\xff", b"[" + b"[]," * 2_000_000 + b"0]"])
def test_json_of_others_is_refused_where_it_is_none_or_takes_too_much(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text)
