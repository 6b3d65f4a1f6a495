"""Whatever a station or a SuperLink says, every message gets one answer, in bounded time."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.carriers import Exchange
from proxy.central.events import Dropped, Pushed, Stage
from proxy.errors import BridgeError, CarrierError, FleetError, RunNotRunning, Unreachable
from proxy.fleet.messages import Instruction, object_id
from proxy.fleet.releases import SCHEMAS, Schema
from proxy.testing import MemoryCarrier, ProxyPair, record_dict
from proxy.tests.helpers import pulled_in, write_bundle
from proxy.tests.liars import LIES, Change, Lie
from proxy.transport.testing import FakeSuperLink, make_object

MODEL = record_dict(weights=b"weights", bias=b"bias")
TRAINED = record_dict(weights=b"trained")
HOUR = 3600.0

# Well-formed values of a reply's metadata, true ones and others.
NUMBERS = st.one_of(st.sampled_from([0, 1, 5, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1))
TEXTS = st.one_of(st.sampled_from(["", 64 * "0", "train", "\0", "ä" * 1000]), st.text())
TIMES = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 1.8e9, 4e9]))
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "run_id": NUMBERS,
        "src_node_id": NUMBERS,
        "dst_node_id": NUMBERS,
        "dst_task_id": NUMBERS,
        "reply_to_message_id": TEXTS,
        "group_id": TEXTS,
        "message_type": TEXTS,
        "ttl": TIMES,
        "created_at": TIMES,
        "ttl_plus": st.floats(-2 * HOUR, 2 * HOUR),
        "created_at_plus": st.floats(-2 * HOUR, 2 * HOUR),
    },
)
CHANGES = st.sampled_from([lie.change for lie in LIES.values()])
CONTENTS = st.one_of(
    st.just(TRAINED),
    # JSON that is deep, and JSON that is none, where a report looks for metrics.
    st.sampled_from([b"[" * 100_000, b"{}", b"\xff", b'{"metrics": "\\ud800"}']).map(
        lambda body: make_object("RecordDict", body)
    ),
    st.builds(lambda code, reason: fleet.Error(code=code, reason=reason), st.integers(0, 9), TEXTS),
)


class Talker(MemoryCarrier):
    """Answers as it is told to."""

    def __init__(self, schema: Schema, says: Callable[[Exchange], None]) -> None:
        super().__init__(lambda _: TRAINED, schema=schema)
        self._says = says

    def exchange(self, station: str, exchange: Exchange) -> None:
        self._says(exchange)


def asked_in(exchange: Exchange) -> Instruction:
    with Bundle(exchange.instruction) as bundle:
        asked = Instruction.decode(pulled_in(bundle), bundle.header.instruction.whole)
    assert asked is not None
    return asked


def talk(schema: Schema, says: Callable[[Exchange], None]) -> ProxyPair:
    """Have one message answered; checks that the SuperLink has exactly one answer, in time."""
    with tempfile.TemporaryDirectory() as folder:
        pair = ProxyPair(Talker(schema, says), Path(folder), schema=schema)
        pair.send(MODEL, ttl=HOUR)  # raises unless there is a complete reply
        assert list(Path(folder).iterdir()) == []
    assert len(pair.superlink.replies) == 1
    assert pair.clock.passed < HOUR
    assert pair.events[-1].stage == Stage.PUSHED
    return pair


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


# Stations


@given(
    schema=st.sampled_from(SCHEMAS),
    metadata=METADATA,
    change=CHANGES,
    content=CONTENTS,
    left_out=st.integers(0, 2),
    generation=TEXTS,
    life=TEXTS,
)
@settings(max_examples=3 * settings().max_examples)
def test_whatever_reply_a_station_makes_its_message_gets_one_answer(
    schema: Schema,
    metadata: dict[str, Any],
    change: Change,
    content: Any,
    left_out: int,
    generation: str,
    life: str,
) -> None:
    def says(exchange: Exchange) -> None:
        lie = Lie(metadata, change)
        pushed, contents = lie.reply(asked_in(exchange), content, time.time())
        header = bundle_pb2.Header(message_id=exchange.message_id, cache_generation=generation)
        header.reply.push_messages_object_id = object_id(pushed)
        header.reply.supernode_life = life
        objects = dict(list(contents.items())[left_out:])
        write_bundle(exchange.reply, header, {object_id(pushed): pushed, **objects})

    talk(schema, says)


@given(
    schema=st.sampled_from(SCHEMAS),
    message_id=st.one_of(st.none(), TEXTS),
    failure=st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), TEXTS),
    kind=st.sampled_from(["failure", "missing_objects", "instruction", "reply", ""]),
)
@settings(max_examples=2 * settings().max_examples)
def test_whatever_else_a_station_answers_its_message_gets_one_answer(
    schema: Schema, message_id: str | None, failure: tuple[int, str], kind: str
) -> None:
    def says(exchange: Exchange) -> None:
        named = exchange.message_id if message_id is None else message_id
        header = bundle_pb2.Header(message_id=named)
        match kind:
            case "failure":
                header.failure.code, header.failure.reason = failure
            case "missing_objects":
                header.missing_objects.object_ids.append(failure[1])
            case "instruction":
                header.instruction.node_id = 5
            case "reply":
                header.reply.push_messages_object_id = failure[1]
        write_bundle(exchange.reply, header)

    talk(schema, says)


@given(schema=st.sampled_from(SCHEMAS), content=st.binary(max_size=200))
@settings(max_examples=settings().max_examples // 2)
def test_whatever_bytes_a_station_sends_its_message_gets_one_answer(
    schema: Schema, content: bytes
) -> None:
    talk(schema, lambda exchange: _write(exchange.reply, content))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.releases)
@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (CarrierError("lone \ud800 surrogate"), 5, "lone ? surrogate"),
        (OSError(28, "No space left on device"), 5, "No space left"),
        (FleetError("That is no reply."), 3, "That is no reply."),
        (RecursionError("too deep"), 0, "RecursionError: too deep"),
        (MemoryError(), 0, "MemoryError"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "lone"), 0, "UnicodeEncodeError"),
        (CarrierError("x" * 10**6), 5, "xxxx"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_raised_on_the_way_becomes_an_error_reply(
    schema: Schema, error: Exception, code: int, reason: str
) -> None:
    def says(_: Exchange) -> None:
        raise error

    pair = talk(schema, says)
    (reply,) = pair.superlink.replies.values()
    assert reply.error is not None
    assert reply.error.code == code
    assert reason in reply.error.reason
    assert len(reply.error.reason) <= 10_000


# SuperLinks


Whims = dict[str, list[bytes | Exception | None]]


def whimsical(superlink: FakeSuperLink, whims: Whims) -> None:
    """Have calls come to something else than they should: an answer, an error, or what should.

    What should happen at the SuperLink does.
    """
    call = superlink.call

    def otherwise(method: str, request: bytes) -> bytes:
        answer = call(method, request)
        waiting = whims.get(method)
        whim = waiting.pop(0) if waiting else None
        if isinstance(whim, Exception):
            raise whim
        return answer if whim is None else whim

    superlink.call = otherwise  # type: ignore[method-assign]


ANSWERS = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.just(fleet.PullObjectResponse(object_found=True).SerializeToString()),
    st.just(fleet.PullObjectResponse(object_found=False).SerializeToString()),
    st.just(fleet.PushObjectResponse(stored=False).SerializeToString()),
    st.just(fleet.PushMessagesResponse(objects_to_push=[64 * "0"]).SerializeToString()),
    st.sampled_from(
        [
            Unreachable("The SuperLink did not answer."),
            FleetError("HTTP 500"),
            RunNotRunning("The run has ended."),
        ]
    ),
)
METHODS = (
    *("GetRun", "GetFab", "PullObject", "ConfirmMessageReceived"),
    *("PushMessages", "PushObject"),
)


@given(
    schema=st.sampled_from(SCHEMAS),
    whims=st.dictionaries(st.sampled_from(METHODS), st.lists(ANSWERS, max_size=8), max_size=3),
)
@settings(max_examples=3 * settings().max_examples)
def test_whatever_a_superlink_answers_a_message_is_answered_or_dropped_for_a_reason_in_time(
    schema: Schema, whims: Whims
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = ProxyPair(
            MemoryCarrier(lambda _: TRAINED, schema=schema), Path(folder), schema=schema
        )
        pair.superlink.push_instruction(MODEL, pair.node.node_id, HOUR)
        delivery = pair.delivery()
        assert delivery is not None
        whimsical(pair.superlink, {method: list(each) for method, each in whims.items()})
        raised: BridgeError | None
        try:
            delivery.run()
        except BridgeError as error:
            raised = error
        else:
            raised = None
        last = pair.events[-1]
        assert (isinstance(last, Dropped) and last.error is raised) or isinstance(last, Pushed)
        assert list(Path(folder).iterdir()) == []
    assert pair.clock.passed <= HOUR
    assert [event.stage for event in pair.events].count(Stage.PULLED) == 1
    # One reply, or an error reply after one that was refused.
    pushed = {request for method, request in pair.superlink.calls if method == "PushMessages"}
    assert len(pushed) <= 2
