"""A message's way to a station and its reply's way back: each stage once, the app once."""

import gc
import json
import warnings
from pathlib import Path

import pytest

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from protos.records_pb2 import MetricRecord
from proxy.bundle import Bundle, BundleWriter
from proxy.central.events import NEXT, Answered, Event, Stage
from proxy.central.memory import Forgetful
from proxy.central.tests.deliveries import (
    MODEL,
    TRAINED,
    Answering,
    WatchedCarrier,
    asked_in,
    fail,
    named_otherwise,
    objects_pushed,
    pushed,
    raising,
)
from proxy.errors import (
    CarrierError,
)
from proxy.fleet.messages import ErrorCode, object_id, parse
from proxy.testing import (
    MemoryCarrier,
    Objects,
    ProxyPair,
    make_object,
    make_reply,
)
from proxy.tests.helpers import write_bundle, write_reply

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


def test_what_a_power_cut_left_of_a_reply_is_not_written_to(
    pair: ProxyPair, carrier: WatchedCarrier, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(b"a reply that a journal keeps")
    (tmp_path / "reply.bundle").hardlink_to(kept)
    links: list[int] = []
    carrier.before = lambda: links.append(kept.stat().st_nlink)
    pair.send(MODEL)
    assert links == [1]


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


@pytest.mark.parametrize("stage", Stage)
def test_a_listener_on_which_a_promise_hangs_ends_the_delivery_until_the_station_has_it(
    pair: ProxyPair, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    before = stage in (Stage.PULLED, Stage.DRAINED, Stage.SENT)

    def journal(event: Event) -> None:
        if event.stage == stage:
            raise OSError(28, "No space left on device")

    pair.listen(journal)
    said = pair.send(MODEL)
    assert (said == TRAINED) != before
    if before:
        assert isinstance(said, fleet.Error)
        assert said.code == ErrorCode.NODE_UNAVAILABLE
        assert "No space left on device" in said.reason
    assert len(pushed(pair)) == 1
    assert [event.stage for event in pair.events][:: len(pair.events) - 1] == [
        *(Stage.PULLED, Stage.PUSHED)
    ]
    assert ("a listener failed" in caplog.text) == (stage in (Stage.ANSWERED, Stage.PUSHED))


def test_events_hold_what_a_journal_needs(pair: ProxyPair) -> None:
    pair.send(MODEL)
    pulled, *_, answered, _ = pair.events
    assert pulled.instruction.encoded
    assert isinstance(answered, Answered)
    assert answered.reply.encoded == pushed(pair)[0].encoded
    assert answered.bundle is not None


def test_bundles_are_closed_whatever_a_station_answered(
    pair: ProxyPair, carrier: WatchedCarrier
) -> None:
    gc.collect()  # warns of files that nobody closed: here of those of other tests
    carrier.instead = lambda _, reply: fail(reply, pair.records[-1].message_id)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        pair.send(MODEL)
        gc.collect()
    assert not caught


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


def test_a_bundle_is_held_as_it_is_sent_also_when_the_app_was_added(
    pair: ProxyPair, carrier: WatchedCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[set[str]] = []

    def hold(_: Forgetful, __: str, made: Path, path: Path, ___: object) -> None:
        with Bundle(made) as bundle:
            held.append(set(bundle.object_ids))
        made.replace(path)

    monkeypatch.setattr(Forgetful, "hold", hold)
    pair.send(MODEL)
    carrier.lose_cache("station-1")
    pair.send(MODEL)
    assert held == [objects for _, objects in carrier.instructions]


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
