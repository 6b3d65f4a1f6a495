"""What a central asks of a station arrives as it was meant, or is refused by its name."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.calls import LONGEST_SECONDS, Call, CourierCall, HostCall, Mode, PerRoundCall
from proxy.errors import CarrierError

MESSAGE_ID = "0123456789abcdef" * 4
HOST = HostCall(7, "partition-id=0 num-partitions=2", 60.0, Mode.DIRECT)
COURIER = CourierCall(MESSAGE_ID, 30.0, 1000)
PER_ROUND = PerRoundCall(MESSAGE_ID, "", Mode.BRIDGE, "5ca1ab1e", 0)
CALLS = [HOST, COURIER, PER_ROUND]
TYPES = [type(call) for call in CALLS]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = ["message_id", "node_id", "node_config", "mode", "idle_limit", "timeout", "job"]


def sent(call: Call, **changes: Any) -> dict[str, Any]:
    """Return a call as a station gets it, with some arguments changed."""
    task: dict[str, Any] = json.loads(json.dumps(call.task()))
    task["kwargs"] |= changes
    return task


def refused(call: Call, **changes: Any) -> CarrierError:
    with pytest.raises(CarrierError) as caught:
        type(call).read(sent(call, **changes))
    return caught.value


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_read_as_it_was_made(call: Call) -> None:
    assert type(call).read(sent(call)) == call


def test_a_task_says_which_function_it_calls_and_with_what() -> None:
    assert sent(HOST) == {
        "method": "host",
        "kwargs": {
            "node_id": "7",
            "node_config": "partition-id=0 num-partitions=2",
            "idle_limit": 60.0,
            "mode": "direct",
        },
    }


def test_what_has_a_default_may_be_left_out_by_an_older_central() -> None:
    task = {"kwargs": {"message_id": "1f", "node_config": "", "job": None}}
    assert PerRoundCall.read(task) == PerRoundCall("1f", "", Mode.BRIDGE, None, None)


@pytest.mark.parametrize("call", CALLS)
def test_what_a_newer_central_adds_is_ignored(call: Call) -> None:
    assert type(call).read(sent(call, colour="red")) == call


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (HOST, "node_id"),
        (HOST, "node_config"),
        (HOST, "idle_limit"),
        (COURIER, "message_id"),
        (COURIER, "timeout"),
        (PER_ROUND, "message_id"),
        (PER_ROUND, "node_config"),
    ],
)
def test_what_a_function_needs_is_asked_for_by_its_name(call: Call, name: str) -> None:
    error = refused(call, **{name: None})
    assert error.message == f"The function {call.method} needs {name}."
    assert error.hint.startswith("It has to be ")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kwargs", [None, [], "x", 1])
def test_arguments_that_are_no_object_are_refused(call: Call, kwargs: Any) -> None:
    with pytest.raises(CarrierError, match="needs its kwargs"):
        type(call).read({"kwargs": kwargs})


BAD_SECONDS: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    10**400,
    -1,
    LONGEST_SECONDS + 1,
    "60",
    True,
]
BAD_WHOLE_NUMBERS: list[Any] = [-1, 1.0, math.nan, "7", True, 1 << 64, [7]]
BAD_NODE_IDS: list[Any] = [-1, 1.0, "-1", "7.0", "٣", "", True, 1 << 64, str(1 << 64), [7]]


BAD_CONFIGS: list[Any] = [7, "a=\0", "a='\ud800'", "x" * 131_072]
BAD_MODES: list[Any] = ["fast", "BRIDGE", 1, ["direct"], {}]
BAD_MESSAGE_IDS: list[Any] = ["", ".", "-", "../1f", "1f/", "1f\n", "é", "٣", "1" * 129, 7]
BAD_JOBS: list[Any] = ["", ".", "../up", "a b", "é", "1" * 65, 7]
BAD = [
    (HOST, "idle_limit", BAD_SECONDS),
    (COURIER, "timeout", BAD_SECONDS),
    (HOST, "node_id", BAD_NODE_IDS),
    (COURIER, "max_reply_bytes", BAD_WHOLE_NUMBERS),
    (HOST, "node_config", BAD_CONFIGS),
    (HOST, "mode", BAD_MODES),
    (COURIER, "message_id", BAD_MESSAGE_IDS),
    (PER_ROUND, "job", BAD_JOBS),
]


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [(call, name, value) for call, name, values in BAD for value in values],
)
def test_what_an_argument_cannot_be_is_refused_saying_what_it_can(
    call: Call, name: str, value: Any
) -> None:
    error = refused(call, **{name: value})
    assert error.message.startswith(f"The function {call.method} cannot have ")
    assert error.message.endswith(f" as {name}.")
    assert error.hint.startswith("It has to be ")


def test_an_error_quotes_little_of_what_was_given() -> None:
    assert len(str(refused(HOST, mode="x" * 1_000_000))) < 300


def test_a_call_that_would_be_refused_cannot_be_made() -> None:
    with pytest.raises(CarrierError):
        HostCall(7, "", math.nan)


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_whatever_comes_is_a_call_or_a_refusal(kind: type[Call], kwargs: dict[str, Any]) -> None:
    try:
        call = kind.read({"kwargs": kwargs})
    except CarrierError:
        return
    assert kind.read(call.task()) == call
