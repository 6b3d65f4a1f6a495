"""A message's way to a station and its reply's way back: exactly one reply, whatever happens."""

import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from protos.records_pb2 import MetricRecord
from proxy.bundle import Bundle, BundleWriter
from proxy.carriers import Exchange
from proxy.central.events import NEXT, Answered, Stage
from proxy.errors import (
    Cancelled,
    CarrierError,
    RunNotRunning,
    Undelivered,
    UnknownNode,
)
from proxy.fleet import wire
from proxy.fleet.messages import ErrorCode, Instruction, Reply, object_id, parse
from proxy.testing import (
    MemoryCarrier,
    Objects,
    ProxyPair,
    make_object,
    make_reply,
    record_dict,
)
from proxy.tests.helpers import noise, pulled_in, write_bundle, write_reply

MODEL = record_dict(weights=b"weights" * 20, bias=b"bias")
TRAINED = record_dict(weights=b"trained" * 20, bias=b"bias")

Answering = Callable[[Path, Path], None]


class WatchedCarrier(MemoryCarrier):
    """Notes what it carries; before that, or instead, it may do something else.

    Attributes
    ----------
    instructions : list[tuple[Header, set[str]]]
        The instruction bundles' headers and objects.
    pulled : list[bytes]
        The SuperLink's answers to PullMessages in them.
    timeouts : list[float]
        How long it was given for each.
    before : Callable[[], None]
        Called before each exchange.
    instead : Callable[[Path, Path], None] | None
        Called instead of an exchange, with the instruction's and the reply's paths.
    """

    def __init__(self, instead: Answering | None = None) -> None:
        super().__init__(clientapp=lambda _: TRAINED)
        self.instructions: list[tuple[bundle_pb2.Header, set[str]]] = []
        self.pulled: list[bytes] = []
        self.timeouts: list[float] = []
        self.before: Callable[[], None] = lambda: None
        self.instead = instead

    def exchange(self, station: str, exchange: Exchange) -> None:
        with Bundle(exchange.instruction) as bundle:
            self.instructions.append((bundle.header, set(bundle.object_ids)))
            self.pulled.append(pulled_in(bundle))
        self.timeouts.append(exchange.timeout)
        self.before()
        if self.instead is not None:
            self.instead(exchange.instruction, exchange.reply)
        else:
            super().exchange(station, exchange)

    @property
    def sent_fab(self) -> list[bool]:
        """Whether each instruction came with the app."""
        return [header.instruction.fab_object_id in ids for header, ids in self.instructions]


@pytest.fixture
def carrier() -> WatchedCarrier:
    return WatchedCarrier()


@pytest.fixture
def pair(carrier: WatchedCarrier, tmp_path: Path) -> ProxyPair:
    return ProxyPair(carrier, tmp_path)


def asked_in(instruction: Path) -> Instruction:
    """Return the message in an instruction bundle."""
    with Bundle(instruction) as bundle:
        asked = Instruction.decode(pulled_in(bundle))
    assert asked is not None
    return asked


def pushed(pair: ProxyPair) -> list[Reply]:
    """Every PushMessages that the SuperLink got."""
    return [
        Reply.decode(request)
        for method, request in pair.superlink.calls
        if method == "PushMessages"
    ]


def objects_pushed(calls: list[tuple[str, bytes]]) -> dict[str, bytes]:
    requests = [parse(fleet.PushObjectRequest, r) for method, r in calls if method == "PushObject"]
    return {each.object_id: each.object_content for each in requests}


# All goes well


def test_the_clientapp_gets_the_message_and_the_superlink_its_reply(tmp_path: Path) -> None:
    got: list[Objects] = []

    def clientapp(content: Objects) -> Objects:
        got.append(content)
        return TRAINED

    pair = ProxyPair(MemoryCarrier(clientapp), tmp_path)
    assert pair.send(MODEL) == TRAINED
    assert got == [MODEL]


def test_a_reply_is_pushed_byte_for_byte_as_the_supernode_pushed_it(pair: ProxyPair) -> None:
    pair.send(MODEL)
    assert isinstance(pair.carrier, MemoryCarrier)
    said = pair.carrier.supernodes["station-1"].calls
    assert [r.encoded for r in pushed(pair)] == [r for m, r in said if m == "PushMessages"]
    assert objects_pushed(pair.superlink.calls) == objects_pushed(said)
    assert pair.superlink.refused == []


def test_what_flower_says_and_we_do_not_know_reaches_the_supernode(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    pair.send(MODEL)
    pulled = carrier.pulled[0]
    assert b"\x50\x07" in pulled  # Metadata.src_task_id
    assert b"\x12\x00" in pulled  # Message.content
    message = parse(fleet.PullMessagesResponse, pulled).messages_list[0]
    assert message.metadata.message_id == pair.records[0].message_id


def test_a_clientapps_own_error_is_a_reply_like_any_other(tmp_path: Path) -> None:
    error = fleet.Error(code=2, reason="<class 'ValueError'>:<'no data'>")
    pair = ProxyPair(MemoryCarrier(clientapp=lambda _: error), tmp_path)
    assert pair.send(MODEL) == error
    assert pair.records[0].error_code == 2
    assert pair.records[0].error == error.reason


def test_only_what_the_superlink_lacks_of_a_reply_is_pushed(pair: ProxyPair) -> None:
    pair.send(MODEL)
    pair.superlink.calls.clear()
    pair.send(MODEL)  # the reply says the same as the first one: only the message is another
    assert len(objects_pushed(pair.superlink.calls)) == 1


def test_a_reply_may_consist_of_what_the_superlink_has_already(tmp_path: Path) -> None:
    pair = ProxyPair(MemoryCarrier(clientapp=lambda content: content), tmp_path)
    assert pair.send(MODEL) == MODEL
    assert pair.send(MODEL) == MODEL


def test_messages_follow_one_another(pair: ProxyPair) -> None:
    assert [pair.send(MODEL) for _ in range(3)] == [TRAINED] * 3
    assert len({record.message_id for record in pair.records}) == 3


def test_nothing_of_a_message_stays_on_the_disk(pair: ProxyPair, tmp_path: Path) -> None:
    pair.send(MODEL)
    assert list(tmp_path.iterdir()) == []


def test_a_message_is_confirmed_only_when_all_of_it_is_here(pair: ProxyPair) -> None:
    pair.send(MODEL)
    methods = [method for method, _ in pair.superlink.calls]
    assert methods.index("ConfirmMessageReceived") > max(
        place for place, method in enumerate(methods) if method == "PullObject"
    )


def test_the_record_tells_when_the_message_was_pulled(pair: ProxyPair) -> None:
    began = pair.clock.time()
    pair.send(MODEL)
    assert began <= pair.records[0].at <= pair.clock.time()


def test_the_record_tells_what_was_moved(pair: ProxyPair) -> None:
    pair.send(MODEL)
    record = pair.records[0]
    assert record.object_bytes_out > sum(map(len, MODEL.contents.values()))
    assert record.object_bytes_back > sum(map(len, TRAINED.contents.values()))
    assert record.bytes_out > record.fab_bytes > len(b"a Flower app")
    assert record.fab_hash == object_id(b"a Flower app")
    assert record.bytes_back > 0
    assert record.clientapp_runtime == 0.25
    assert record.error_code is None
    assert record.seconds.keys() == {
        *("drain", "carry", "handover", "clientapp", "collect", "store")
    }


def test_a_station_that_has_measured_more_time_than_has_passed_is_not_believed(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    def exchange(instruction: Path, reply: Path) -> None:
        asked = asked_in(instruction)
        answer, contents = make_reply(asked, TRAINED)
        header = bundle_pb2.Header(message_id=asked.message_id)
        header.reply.push_messages_object_id = object_id(answer.encoded)
        with BundleWriter(reply, header) as writer:
            for each in (answer.encoded, *contents.values()):
                writer.add(object_id(each), each)
            writer.close({"clientapp": 1e300})

    carrier.instead = exchange
    pair.send(MODEL)
    assert pair.records[0].seconds.keys() == {"drain", "carry", "store"}


# Stages


def test_a_message_that_is_answered_goes_through_its_stages_once(pair: ProxyPair) -> None:
    pair.send(MODEL)
    assert [event.stage for event in pair.events] == [
        *(Stage.PULLED, Stage.DRAINED, Stage.SENT, Stage.ANSWERED, Stage.PUSHED)
    ]


def test_what_a_station_lacks_is_drained_and_sent_again(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    pair.send(MODEL)
    carrier.lose_cache("station-1")
    pair.events.clear()
    pair.send(MODEL)
    assert [event.stage for event in pair.events][1:5] == [
        *(Stage.DRAINED, Stage.SENT, Stage.DRAINED, Stage.SENT)
    ]


def test_a_reply_that_the_superlink_refuses_is_followed_by_an_error_reply(
    pair: ProxyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever we did not think of when we checked it."""
    monkeypatch.setattr("proxy.central.delivery.check_reply", lambda *_: None)
    carrier = pair.carrier
    assert isinstance(carrier, WatchedCarrier)
    carrier.instead = named_otherwise(dst_node_id=5)
    said = pair.send(MODEL)
    assert isinstance(said, fleet.Error)
    assert "did not take the reply" in said.reason
    assert [event.stage for event in pair.events][-4:] == [
        *(Stage.ANSWERED, Stage.REFUSED, Stage.ANSWERED, Stage.PUSHED)
    ]
    assert pair.records[0].error_code == ErrorCode.REPLY_MESSAGE_UNAVAILABLE


def test_every_stage_but_the_last_may_end_in_a_dropped_message() -> None:
    ends = {stage for stage, following in NEXT.items() if not following}
    assert ends == {Stage.PUSHED, Stage.DROPPED}
    assert all(
        Stage.DROPPED in following
        for stage, following in NEXT.items()
        if stage is not None and following
    )


def test_events_hold_what_a_journal_needs(pair: ProxyPair) -> None:
    pair.send(MODEL)
    pulled, *_, answered, _ = pair.events
    assert pulled.instruction.encoded
    assert isinstance(answered, Answered)
    assert answered.reply.encoded == pushed(pair)[0].encoded
    assert answered.bundle is not None


@pytest.mark.filterwarnings("error")
def test_bundles_are_closed_whatever_a_station_answered(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    carrier.instead = lambda _, reply: fail(reply, pair.records[-1].message_id)
    pair.send(MODEL)
    gc.collect()  # warns of files that nobody closed


def test_an_object_that_is_still_being_uploaded_is_waited_for(
    pair: ProxyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    superlink = pair.superlink
    late = next(iter(MODEL.contents))
    superlink.withheld.add(late)
    answer = superlink.call

    def call(method: str, request: bytes) -> bytes:
        if [asked for asked, _ in superlink.calls].count("PullObject") > 5:
            superlink.withheld.clear()
        return answer(method, request)

    monkeypatch.setattr(superlink, "call", call)
    assert pair.send(MODEL) == TRAINED


def measured(**metrics: float) -> Objects:
    """Make what a ClientApp says that reports metrics."""
    record = MetricRecord()
    for key, value in metrics.items():
        record.items.add(key=key).value.double = value
    below = make_object("MetricRecord", record.SerializeToString())
    ids = {"metrics": below.tree.object_id}
    return make_object("RecordDict", json.dumps(ids).encode(), below)


def test_the_record_has_the_metrics_of_the_reply(tmp_path: Path) -> None:
    pair = ProxyPair(MemoryCarrier(lambda _: measured(loss=0.25, accuracy=0.5)), tmp_path)
    pair.send(MODEL)
    assert pair.records[0].metrics == {"loss": 0.25, "accuracy": 0.5}


def test_a_reply_whose_metrics_cannot_be_read_reaches_the_superlink_like_any_other(
    tmp_path: Path,
) -> None:
    odd = make_object("RecordDict", b'{"metrics": []}')
    pair = ProxyPair(MemoryCarrier(lambda _: odd), tmp_path)
    assert pair.send(MODEL) == odd
    assert pair.records[0].metrics == {}


# The ClientApp's state


def living(life: str) -> Answering:
    """Answer as a station whose SuperNode names the life that its ClientApp's state has."""

    def exchange(instruction: Path, reply: Path) -> None:
        asked = asked_in(instruction)
        answer, contents = make_reply(asked, TRAINED)
        header = bundle_pb2.Header(message_id=asked.message_id)
        header.reply.supernode_life = life
        header.reply.push_messages_object_id = object_id(answer.encoded)
        write_bundle(reply, header, {object_id(answer.encoded): answer.encoded, **contents})

    return exchange


@pytest.mark.parametrize(
    ("lives", "lost"),
    [
        pytest.param(["a", "a", "a"], [False, False, False], id="never"),
        pytest.param(["a", "b", "b"], [False, True, False], id="once"),
        pytest.param(["a", "b", "a"], [False, True, True], id="at each message"),
        pytest.param(["", "", ""], [False, False, False], id="per-round has none to lose"),
    ],
)
def test_a_state_that_was_lost_is_noted_once_with_the_first_message_after_it(
    pair: ProxyPair,
    carrier: WatchedCarrier,
    caplog: pytest.LogCaptureFixture,
    lives: list[str],
    lost: list[bool],
) -> None:
    for life in lives:
        carrier.instead = living(life)
        pair.send(MODEL)
    assert [record.state_lost for record in pair.records] == lost
    warnings = [each for each in caplog.messages if "its SuperNode was replaced" in each]
    assert len(warnings) == lost.count(True)


@pytest.mark.parametrize(("after", "lost"), [("a", False), ("b", True)])
def test_a_failed_message_in_between_neither_hides_a_lost_state_nor_is_one(
    pair: ProxyPair, carrier: WatchedCarrier, after: str, lost: bool
) -> None:
    for answer in (living("a"), raising(CarrierError("closed")), living(after)):
        carrier.instead = answer
        pair.send(MODEL)
    assert [record.state_lost for record in pair.records] == [False, False, lost]


# The app is sent once


def test_the_app_is_left_out_when_the_station_holds_it(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    pair.send(MODEL)
    pair.send(MODEL)
    assert carrier.sent_fab == [True, False]
    assert pair.records[0].fab_bytes > 0
    assert pair.records[1].fab_bytes == 0


def test_the_app_of_another_run_is_sent_too(pair: ProxyPair, carrier: WatchedCarrier) -> None:
    other = pair.superlink.start_run(b"another app")
    for run_id in (pair.superlink.run_id, other, other):
        assert pair.send(MODEL, run_id=run_id) == TRAINED
    assert carrier.sent_fab == [True, True, False]


def test_a_station_that_lost_the_app_gets_the_message_again_in_full(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    pair.send(MODEL)
    carrier.lose_cache("station-1")
    assert pair.send(MODEL) == TRAINED
    assert carrier.sent_fab == [True, False, True]
    lacking, full = carrier.instructions[1:]
    assert lacking[0] == full[0]
    assert lacking[1] < full[1]


def test_the_resent_app_counts_in_the_record(pair: ProxyPair, carrier: WatchedCarrier) -> None:
    pair.send(MODEL)
    carrier.lose_cache("station-1")
    pair.send(MODEL)
    first, second = pair.records
    assert second.fab_bytes == first.fab_bytes
    assert second.bytes_out > first.bytes_out
    assert second.bytes_back > first.bytes_back


def test_what_was_resent_is_left_out_again(pair: ProxyPair, carrier: WatchedCarrier) -> None:
    pair.send(MODEL)
    carrier.lose_cache("station-1")
    pair.send(MODEL)
    pair.send(MODEL)
    assert carrier.sent_fab == [True, False, True, False]


def test_the_app_is_sent_again_after_an_answer_from_another_cache(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    pair.send(MODEL)
    carrier.instead = lambda _, reply: fail(reply, pair.records[-1].message_id, "another cache")
    pair.send(MODEL)
    carrier.instead = None
    assert pair.send(MODEL) == TRAINED
    assert carrier.sent_fab[-1]


def test_a_cache_without_a_name_is_never_relied_on(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    def nameless(instruction: Path, reply: Path) -> None:
        asked = asked_in(instruction)
        answer, contents = make_reply(asked, TRAINED)
        write_reply(reply, asked.message_id, answer.encoded, contents)

    carrier.instead = nameless
    assert [pair.send(MODEL), pair.send(MODEL)] == [TRAINED, TRAINED]
    assert carrier.sent_fab == [True, True]


# Deadlines


def test_the_station_gets_the_bridges_own_deadline_if_that_is_shorter(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    ProxyPair(carrier, tmp_path, deadline=60.0).send(MODEL, ttl=3600.0)
    ((header, _),) = carrier.instructions
    assert header.instruction.deadline_seconds == 60.0


def test_the_station_gets_the_messages_time_to_live_if_that_is_shorter(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    ProxyPair(carrier, tmp_path, deadline=3600.0).send(MODEL, ttl=100.0)
    ((header, _),) = carrier.instructions
    assert 0 < header.instruction.deadline_seconds < 100.0


def test_the_carrier_waits_longer_than_the_station_but_no_longer_than_the_message_lives(
    carrier: WatchedCarrier, tmp_path: Path
) -> None:
    ProxyPair(carrier, tmp_path, deadline=3600.0).send(MODEL, ttl=100.0)
    ((header, _),) = carrier.instructions
    assert header.instruction.deadline_seconds < carrier.timeouts[0] < 100.0


# Trouble becomes exactly one error reply


def fail(reply: Path, message_id: str, generation: str = "", code: int = 8) -> None:
    """Answer as a station does whose SuperNode will not reply."""
    header = bundle_pb2.Header(message_id=message_id, cache_generation=generation)
    header.failure.code, header.failure.reason = code, "The SuperNode ended."
    write_bundle(reply, header)


def answer_with(
    change: Callable[[fleet.PushMessagesRequest], None] = lambda _: None,
    message_id: str = "",
    without: int = 0,
) -> Answering:
    """Answer with a reply that lies."""

    def exchange(instruction: Path, reply: Path) -> None:
        asked = asked_in(instruction)
        answer, contents = make_reply(asked, TRAINED)
        request = parse(fleet.PushMessagesRequest, answer.encoded)
        change(request)
        left = dict(list(contents.items())[without:])
        write_reply(reply, message_id or asked.message_id, request.SerializeToString(), left)

    return exchange


def raising(error: Exception) -> Answering:
    def exchange(_: Path, __: Path) -> None:
        raise error

    return exchange


def named_otherwise(**names: int | str) -> Answering:
    def change(request: fleet.PushMessagesRequest) -> None:
        for name, value in names.items():
            setattr(request.messages_list[0].metadata, name, value)

    return answer_with(change)


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
    (tmp_path / "instruction.bundle.part").symlink_to("/dev/full")
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


def test_a_superlink_out_of_reach_in_the_middle_of_a_push_gets_the_same_bytes_again(
    pair: ProxyPair,
) -> None:
    pair.superlink.be_unreachable(2, "PushObject")
    assert pair.send(MODEL) == TRAINED
    first, *others = pushed(pair)
    assert others  # one or two: both calls may be of the same attempt
    assert all(each == first for each in others)


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
