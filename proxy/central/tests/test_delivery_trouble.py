"""Exactly one reply, whatever goes wrong at a station, at the SuperLink or between them."""

import threading
from pathlib import Path

import pytest

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import ANNOUNCEMENT_BYTES, Bundle
from proxy.central.tests.deliveries import (
    MODEL,
    TRAINED,
    Answering,
    WatchedCarrier,
    answer_with,
    asked_in,
    fail,
    named_otherwise,
    pushed,
    raising,
)
from proxy.errors import (
    Cancelled,
    CarrierError,
    RunNotRunning,
    Undelivered,
    UnknownNode,
)
from proxy.fleet import wire
from proxy.fleet.messages import ErrorCode, object_id, parse
from proxy.testing import (
    ProxyPair,
    make_reply,
    record_dict,
)
from proxy.tests.helpers import noise, write_bundle, write_reply

# Trouble becomes exactly one error reply


def missing_forever(instruction: Path, reply: Path) -> None:
    with Bundle(instruction) as bundle:
        header = bundle_pb2.Header(message_id=bundle.header.message_id)
    header.missing_objects.object_ids.append("ff")
    write_bundle(reply, header)


def garbage(_: Path, reply: Path) -> None:
    reply.write_bytes(b"no bundle")


def announcing(more: bytes) -> Answering:
    """Announce more than a reply."""

    def exchange(instruction: Path, reply: Path) -> None:
        answer, contents = make_reply(asked_in(instruction), TRAINED)
        write_reply(reply, asked_in(instruction).message_id, answer.encoded + more, contents)

    return exchange


def in_a_large_object(instruction: Path, reply: Path) -> None:
    """Reply with a message whose own object has megabytes of nothing."""
    asked = asked_in(instruction)
    answer, contents = make_reply(asked, TRAINED)
    request = parse(fleet.PushMessagesRequest, answer.encoded)
    own_id = request.message_object_trees[0].object_id
    head, _, body = contents[own_id].partition(b"\0")
    kind, children, _ = head.decode().split(" ")
    body += wire.field(1000, bytes(ANNOUNCEMENT_BYTES))
    content = f"{kind} {children} {len(body)}\0".encode() + body
    request.message_object_trees[0].object_id = object_id(content)
    request.messages_list[0].metadata.message_id = object_id(content)
    objects = {**contents, object_id(content): content}
    write_reply(reply, asked.message_id, request.SerializeToString(), objects)


NO_REPLY = ErrorCode.REPLY_MESSAGE_UNAVAILABLE


@pytest.mark.parametrize(
    ("instead", "code", "reason"),
    [
        pytest.param(
            raising(CarrierError("Station-1 is closed.", "Come back tomorrow.")),
            *(ErrorCode.NODE_UNAVAILABLE, "Station-1 is closed."),
            id="the carrier fails",
        ),
        pytest.param(
            raising(OSError(28, "No space left on device")),
            *(ErrorCode.NODE_UNAVAILABLE, "No space left on device"),
            id="the carrier meets a full disk",
        ),
        pytest.param(garbage, NO_REPLY, "is truncated", id="the answer is no bundle"),
        pytest.param(
            answer_with(message_id="ff"), NO_REPLY, "message ff", id="it is to another message"
        ),
        pytest.param(
            named_otherwise(reply_to_message_id="ff"),
            *(NO_REPLY, "names message ff"),
            id="its reply is to another message",
        ),
        pytest.param(
            named_otherwise(run_id=5), NO_REPLY, "names run 5", id="its reply is of another run"
        ),
        pytest.param(
            named_otherwise(src_node_id=5),
            *(NO_REPLY, "names node 5"),
            id="its reply is from another node",
        ),
        pytest.param(answer_with(without=1), NO_REPLY, "lacks 1", id="its reply lacks an object"),
        pytest.param(
            answer_with(lambda request: request.ClearField("messages_list")),
            *(NO_REPLY, "none or several replies"),
            id="its reply is empty",
        ),
        pytest.param(
            announcing(wire.field(15, bytes(17 << 20))),
            *(NO_REPLY, "the limit is 16,777,216"),
            id="its reply is announced with megabytes of nothing",
        ),
        pytest.param(
            in_a_large_object,
            *(NO_REPLY, "the limit is 16,777,216"),
            id="its reply's own object has megabytes of nothing",
        ),
        pytest.param(
            announcing(b"\x1a\x00" * 2000),
            *(NO_REPLY, "more than 1,000 fields"),
            id="its reply has many trees of nothing",
        ),
        pytest.param(missing_forever, NO_REPLY, "missing_objects", id="it always lacks the app"),
    ],
)
def test_whatever_goes_wrong_at_a_station_becomes_one_error_reply(
    tmp_path: Path, instead: Answering, code: int, reason: str
) -> None:
    pair = ProxyPair(WatchedCarrier(instead), tmp_path)
    said = pair.send(MODEL)
    assert isinstance(said, fleet.Error)
    assert reason in said.reason
    assert said.code == code
    assert (pair.records[0].error_code, pair.records[0].error) == (said.code, said.reason)
    assert len(pushed(pair)) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_of_a_long_error_is_short_and_clean(tmp_path: Path) -> None:
    error = CarrierError("\x1b]0;title\x07No data.\n" + "x" * 100_000)
    pair = ProxyPair(WatchedCarrier(raising(error)), tmp_path)
    pair.send(MODEL)
    assert pair.records[0].error.startswith("No data.\nxxx")
    assert len(pair.records[0].error) < 1_100


def test_a_stations_own_failure_is_passed_on_with_its_code_and_reason(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    carrier.instead = lambda _, reply: fail(reply, pair.records[-1].message_id, code=8)
    assert pair.send(MODEL) == fleet.Error(code=8, reason="The SuperNode ended.")
    assert len(pushed(pair)) == 1


def test_an_object_that_is_never_uploaded_becomes_an_error_reply(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    pair = ProxyPair(carrier, tmp_path)
    pair.superlink.withheld.update(MODEL.contents)
    said = pair.send(MODEL)
    assert isinstance(said, fleet.Error)
    assert said.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "never uploaded" in said.reason


def test_an_object_that_the_superlink_does_not_know_becomes_an_error_reply(
    pair: ProxyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = pair.superlink.call

    def call(method: str, request: bytes) -> bytes:
        not_found = fleet.PullObjectResponse(object_found=False).SerializeToString()
        return not_found if method == "PullObject" else answer(method, request)

    monkeypatch.setattr(pair.superlink, "call", call)
    said = pair.send(MODEL)
    assert isinstance(said, fleet.Error)
    assert said.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "does not have object" in said.reason


@pytest.mark.parametrize("size", [10, 10**6], ids=["at the end", "in the middle"])
def test_a_full_disk_on_this_side_becomes_an_error_reply(
    pair: ProxyPair, tmp_path: Path, size: int
) -> None:
    (tmp_path / "instruction.new.part").symlink_to("/dev/full")
    said = pair.send(record_dict(weights=noise(size)))
    assert isinstance(said, fleet.Error)
    assert "No space left" in said.reason


def test_a_superlink_out_of_reach_while_a_message_is_fetched_becomes_an_error_reply(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    pair = ProxyPair(carrier, tmp_path)
    pair.superlink.be_unreachable(1000, "GetFab")
    said = pair.send(MODEL)
    assert isinstance(said, fleet.Error)
    assert said.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "did not answer GetFab" in said.reason


# The SuperLink out of reach


@pytest.mark.parametrize("answers", [False, True], ids=["calls lost", "answers lost"])
@pytest.mark.parametrize(
    "method",
    ["GetRun", "GetFab", "PullObject", "ConfirmMessageReceived", "PushMessages", "PushObject"],
)
def test_a_superlink_out_of_reach_for_a_while_changes_nothing(
    pair: ProxyPair, method: str, answers: bool
) -> None:
    pair.superlink.be_unreachable(3, method, answers)
    assert pair.send(MODEL) == TRAINED
    assert len({reply.encoded for reply in pushed(pair)}) == 1
    assert pair.superlink.refused == []


def test_a_superlink_out_of_reach_in_the_middle_of_a_push_gets_the_rest_of_it(
    pair: ProxyPair,
) -> None:
    """It would take no second announcement if the ServerApp has the reply already."""
    pair.superlink.be_unreachable(2, "PushObject")
    assert pair.send(MODEL) == TRAINED
    assert len(pushed(pair)) == 1


@pytest.mark.parametrize("answers", [False, True], ids=["calls lost", "answers lost"])
def test_an_error_reply_that_is_pushed_again_is_the_same_bytes(
    tmp_path: Path, answers: bool
) -> None:
    pair = ProxyPair(WatchedCarrier(raising(CarrierError("closed"))), tmp_path)
    pair.superlink.be_unreachable(2, "PushMessages", answers)
    assert pair.send(MODEL) == fleet.Error(code=5, reason="closed")
    first, *others = pushed(pair)
    assert others == [first, first]
    assert pair.superlink.refused == []


def test_no_error_reply_follows_a_real_one_that_cannot_be_delivered(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    pair = ProxyPair(carrier, tmp_path)
    pair.superlink.be_unreachable(10**6, "PushObject")
    with pytest.raises(Undelivered):
        pair.send(MODEL)
    assert [reply.error for reply in pushed(pair) if reply.error] == []


# A SuperLink that hands out a message until it is confirmed


def test_a_message_that_cannot_be_drained_is_answered_once_and_does_not_come_again(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    superlink = pair.superlink
    superlink.repeats = True
    message_id = superlink.push_instruction(MODEL, pair.node.node_id)
    superlink.withheld = {message_id}
    delivery = pair.delivery()
    assert delivery is not None
    delivery.run()
    answer = superlink.reply_to(message_id)
    assert isinstance(answer, fleet.Error)
    assert answer.code == 3
    assert pair.delivery() is None
    assert pair.send(MODEL) == TRAINED
    assert len(pushed(pair)) == 2


# The bridge is stopped


def test_an_exchange_that_was_called_off_is_answered_with_an_error(
    pair: ProxyPair, carrier: WatchedCarrier, tmp_path: Path
) -> None:
    carrier.instead = raising(Cancelled("stopped"))
    assert pair.send(MODEL) == fleet.Error(code=5, reason="stopped")
    assert list(tmp_path.iterdir()) == []


def test_a_message_is_answered_at_once_even_if_its_exchange_goes_on(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    message_id = pair.superlink.push_instruction(MODEL, pair.node.node_id)
    delivery = pair.delivery()
    assert delivery is not None
    stopped = fleet.Error(code=5, reason="The bridge stops.")

    def stop() -> None:
        stopping = threading.Thread(target=delivery.fail, args=[Cancelled("The bridge stops.")])
        stopping.start()
        stopping.join()
        assert pair.superlink.reply_to(message_id) == stopped

    carrier.before = stop
    delivery.run()
    assert len(pushed(pair)) == 1
    assert pair.records[0].error == "The bridge stops."


def test_a_message_of_which_not_all_has_come_is_answered_when_the_bridge_stops(
    pair: ProxyPair,
) -> None:
    message_id = pair.superlink.push_instruction(MODEL, pair.node.node_id)
    pair.superlink.withheld = {message_id}
    delivery = pair.delivery()
    assert delivery is not None
    pair.stop.set()
    delivery.fail(Cancelled("The bridge stops."))
    answer = fleet.Error(code=5, reason="The bridge stops.")
    assert pair.superlink.reply_to(message_id) == answer


def test_a_message_that_has_its_answer_is_not_called_off(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    message_id = pair.superlink.push_instruction(MODEL, pair.node.node_id)
    delivery = pair.delivery()
    assert delivery is not None
    delivery.run()
    delivery.fail(Cancelled("The bridge stops."))
    assert pair.superlink.reply_to(message_id) == TRAINED
    assert len(pushed(pair)) == 1


def test_a_reply_that_the_superlink_missed_is_pushed_once_more_when_the_bridge_stops(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    pair.superlink.be_unreachable(1, "PushMessages")
    carrier.before = pair.stop.set
    assert pair.send(MODEL) == TRAINED
    assert len(pushed(pair)) == 2


# Nobody wants a reply


@pytest.mark.parametrize("what", ["end_run", "forget_nodes"])
def test_no_reply_is_made_when_the_superlink_wants_none_any_more(
    pair: ProxyPair, carrier: WatchedCarrier, what: str
) -> None:
    superlink = pair.superlink
    if what == "end_run":
        carrier.before = lambda: superlink.end_run(superlink.run_id)
    else:
        carrier.before = superlink.forget_nodes
    with pytest.raises(RunNotRunning if what == "end_run" else UnknownNode):
        pair.send(MODEL)
    assert superlink.replies == {}
    assert [reply.error for reply in pushed(pair)] == [None]


def test_a_message_of_a_run_that_has_ended_does_not_reach_the_station(
    pair: ProxyPair, carrier: WatchedCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    superlink, answer = pair.superlink, pair.superlink.call

    def call(method: str, request: bytes) -> bytes:
        if method == "GetRun":
            superlink.end_run(superlink.run_id)
        return answer(method, request)

    monkeypatch.setattr(superlink, "call", call)
    with pytest.raises(RunNotRunning):
        pair.send(MODEL)
    assert carrier.instructions == []
    assert pushed(pair) == []


def test_messages_after_trouble_are_served_as_if_nothing_had_been(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    carrier.instead = raising(CarrierError("closed"))
    pair.send(MODEL)
    carrier.instead = None
    assert pair.send(MODEL) == TRAINED


def test_an_error_reply_does_not_outlive_its_message(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    carrier.instead = raising(CarrierError("closed"))
    pair = ProxyPair(carrier, tmp_path)
    pair.send(MODEL, ttl=30.0)
    (reply,) = pushed(pair)
    assert reply.metadata.created_at + reply.metadata.ttl <= pair.clock.time() + 30.1
