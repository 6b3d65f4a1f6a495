"""Replaying what the fakes say to each other: every layout, and what a tape may lack."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from protos import tape_pb2
from proxy.errors import FleetError, TapeError
from proxy.fleet import messages, wire
from proxy.fleet.releases import SCHEMAS, Layout, Schema
from proxy.tapes.replay import replay
from proxy.tapes.replay.rules import Difference
from proxy.tapes.tape import KEPT_BYTES, Call, Tape, TapeWriter, read_tape
from proxy.testing import FakeSuperLink, FakeSuperNode, Objects, record_dict
from proxy.tests.helpers import noise
from proxy.transport.superlink import SuperLink

ClientApp = Callable[[Objects], Objects | fleet.Error]
WITH_OBJECTS = [schema for schema in SCHEMAS if schema.layout != Layout.INLINE]


def echo(content: Objects) -> Objects:
    return content


def failing(content: Objects) -> fleet.Error:
    return fleet.Error(code=2, reason="no data today")


class Federation:
    """A SuperLink and SuperNodes in memory, with a recorder before some of them."""

    def __init__(self, path: Path, schema: Schema = SCHEMAS[-1]) -> None:
        self.path = path
        self.schema = schema
        self.superlink = FakeSuperLink(schema=schema)
        self.writer = TapeWriter(path, "http", "fakes")

    def supernode(self, clientapp: ClientApp = echo, recorded: bool = True) -> FakeSuperNode:
        """Return one more SuperNode, online."""

        def handle(method: str, request: bytes, now: float) -> bytes:
            call = tape_pb2.Call(method=method, at=time.time(), request=request)
            try:
                call.answer = self.superlink.call(method, request)
            except FleetError as error:
                call.refusal.status = type(error).__name__
                raise
            finally:
                if recorded:
                    self.writer.add(call)
            return call.answer

        supernode = FakeSuperNode(handle, clientapp, self.schema)
        supernode.start()
        return supernode

    def send(self, supernode: FakeSuperNode, content: Objects) -> None:
        """Have a message answered."""
        self.superlink.push_instruction(content, supernode.node_id)
        assert supernode.work()

    def tape(self) -> Tape:
        """Return the tape; nothing is recorded after that."""
        self.writer.close()
        return read_tape(self.path)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation(tmp_path / "fakes.tape")


def recorded(federation: Federation, *contents: Objects, clientapp: ClientApp = echo) -> Tape:
    """Return the tape of one SuperNode that answers some messages."""
    supernode = federation.supernode(clientapp)
    for content in contents or (record_dict(weights=b"1"), record_dict(weights=b"2")):
        federation.send(supernode, content)
    return federation.tape()


def reordered(tape: Tape, calls: Iterable[Call]) -> Tape:
    """Return a tape with other calls, numbered anew."""
    numbered = (replace(call, number=number) for number, call in enumerate(calls, start=1))
    return replace(tape, calls=tuple(numbered))


@pytest.mark.parametrize("clientapp", [echo, failing])
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.releases)
def test_what_was_recorded_is_replayed(
    schema: Schema, clientapp: ClientApp, tmp_path: Path
) -> None:
    tape = recorded(Federation(tmp_path / "fakes.tape", schema), clientapp=clientapp)
    replayed = replay(tape)
    assert (replayed.nodes, replayed.messages, replayed.skipped) == (1, 2, 0)


@pytest.mark.parametrize("schema", WITH_OBJECTS, ids=lambda schema: schema.releases)
def test_large_objects_that_are_not_on_the_tape_are_replayed(
    schema: Schema, tmp_path: Path
) -> None:
    federation = Federation(tmp_path / "fakes.tape", schema)
    large = record_dict(weights=noise(KEPT_BYTES), more=noise(2 * KEPT_BYTES, b"2"))
    tape = recorded(federation, large, record_dict(weights=noise(KEPT_BYTES, b"3")))
    assert sum(call.left_out_bytes for call in tape.calls) > 2 * KEPT_BYTES
    assert federation.path.stat().st_size < KEPT_BYTES
    assert replay(tape).messages == 2


def test_a_large_app_that_is_not_on_the_tape_is_replayed(federation: Federation) -> None:
    run_id = federation.superlink.start_run(noise(2 * KEPT_BYTES))
    supernode = federation.supernode()
    federation.superlink.push_instruction(
        record_dict(weights=b"1"), supernode.node_id, run_id=run_id
    )
    assert supernode.work()
    assert replay(federation.tape()).messages == 1


def test_an_object_that_never_passed_the_recorder_is_replayed(federation: Federation) -> None:
    """Another SuperNode pushed the same before; the SuperLink does not ask for it again."""
    same = record_dict(update=b"the same from both")
    federation.send(federation.supernode(lambda _: same, recorded=False), record_dict(weights=b""))
    federation.send(federation.supernode(lambda _: same), record_dict(weights=b"1"))
    tape = federation.tape()
    pushed = [call for call in tape.calls if call.method == "PushObject"]
    assert len(pushed) == 1  # the message itself
    assert replay(tape).messages == 1


def test_two_supernodes_on_one_tape_are_told_apart(federation: Federation) -> None:
    first, second = federation.supernode(), federation.supernode(failing)
    for supernode in (first, second, first):
        federation.send(supernode, record_dict(weights=noise(9, str(time.time()).encode())))
    replayed = replay(federation.tape())
    assert (replayed.nodes, replayed.messages) == (2, 3)


def test_a_message_whose_reply_is_not_all_on_the_tape_is_skipped(federation: Federation) -> None:
    tape = recorded(federation)
    replayed = replay(replace(tape, calls=tape.calls[:-1]))
    assert (replayed.messages, replayed.skipped) == (1, 1)


def test_a_tape_without_any_reply_proves_nothing(federation: Federation) -> None:
    tape = recorded(federation, record_dict(weights=b"1"))
    with pytest.raises(TapeError, match="no message with a complete reply"):
        replay(replace(tape, calls=tape.calls[:-1]))


def test_a_recorder_that_came_late_has_enough(federation: Federation) -> None:
    """The SuperNode joined before."""
    tape = recorded(federation)
    late = [call for call in tape.calls if call.method not in ("RegisterNode", "ActivateNode")]
    assert replay(reordered(tape, late)).messages == 2


def test_pulls_and_pushes_may_come_in_any_order(federation: Federation) -> None:
    """SuperNodes pull and push in parallel."""
    tape = recorded(federation)
    calls = list(tape.calls)
    for method in ("PullObject", "PushObject"):
        places = [place for place, call in enumerate(calls) if call.method == method][:4]
        turned = [calls[place] for place in reversed(places)]
        for place, call in zip(places, turned, strict=True):
            calls[place] = call
    assert replay(reordered(tape, calls)).messages == 2


def test_calls_of_different_methods_may_not(federation: Federation) -> None:
    tape = recorded(federation)
    calls = list(tape.calls)
    confirmed = next(call for call in calls if call.method == "ConfirmMessageReceived")
    calls.remove(confirmed)
    calls.insert([call.method for call in calls].index("PullObject"), confirmed)
    told = r"made call 9 \(PullObject .*, without call 8 \(ConfirmMessageReceived of message "
    with pytest.raises(Difference, match=told.replace("9", r"\d+").replace("8", r"\d+")):
        replay(reordered(tape, calls))


def test_an_object_that_was_not_there_yet_is_asked_for_once(federation: Federation) -> None:
    tape = recorded(federation)
    calls = list(tape.calls)
    place = [call.method for call in calls].index("PullObject")
    early = fleet.PullObjectResponse(object_found=True).SerializeToString()
    calls.insert(place, replace(calls[place], answer=early))
    assert replay(reordered(tape, calls)).messages == 2


def test_an_object_that_the_supernode_held_may_be_pulled(federation: Federation) -> None:
    same = record_dict(weights=b"the same twice")
    tape = recorded(federation, same, same)
    seen: set[bytes] = set()
    calls = []
    for call in tape.calls:
        if call.method != "PullObject" or call.request not in seen:
            calls.append(call)
            seen.add(call.request)
    assert len(calls) < len(tape.calls)
    assert replay(reordered(tape, calls)).messages == 2


def test_a_call_that_was_made_twice_is_told(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = recorded(federation)
    confirm = SuperLink.confirm_message_received

    def twice(self: SuperLink, run_id: int, message_id: str) -> None:
        confirm(self, run_id, message_id)
        confirm(self, run_id, message_id)

    monkeypatch.setattr(SuperLink, "confirm_message_received", twice)
    with pytest.raises(Difference, match=r"made call \d+ \(ConfirmMessageReceived .*\) again"):
        replay(tape)


def test_a_method_that_is_not_on_the_tape_is_told(federation: Federation) -> None:
    tape = recorded(federation)
    calls = [call for call in tape.calls if call.method != "GetFab"]
    with pytest.raises(Difference, match="a call of GetFab; there is none on the tape"):
        replay(reordered(tape, calls))


def test_the_nearest_call_on_the_tape_is_told(federation: Federation) -> None:
    tape = recorded(federation)
    calls = []
    for call in tape.calls:
        if call.method == "ConfirmMessageReceived":
            request = fleet.ConfirmMessageReceivedRequest.FromString(call.request)
            request.run_id = 5
            calls.append(replace(call, request=request.SerializeToString()))
        else:
            calls.append(call)
    told = (
        r"a call of ConfirmMessageReceived that is not on the tape\. The nearest is call \d+"
        r" \(ConfirmMessageReceived of message [0-9a-f]{16}…\); it differs in\n"
        rf" +run_id \(2\): expected 5, got {federation.superlink.run_id}"
    )
    with pytest.raises(Difference, match=told):
        replay(reordered(tape, calls))


def test_an_answer_that_was_another_is_told_by_its_field(federation: Federation) -> None:
    tape = recorded(federation)
    calls = [
        replace(call, answer=(call.answer or b"") + b"\x48\x05")
        if call.method == "PullObject"
        else call
        for call in tape.calls
    ]
    told = (
        r"The ClientProxy's answer to call \d+ \(PullObject .*\) differs from the SuperLink's in\n"
        r" +field \(9\): expected 5, got nothing"
    )
    with pytest.raises(Difference, match=told):
        replay(reordered(tape, calls))


def test_objects_that_are_asked_for_in_another_form_are_told(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = recorded(federation)
    answer_to_push = messages.answer_to_push

    def as_in_1_19(
        reply: messages.Reply, wanted: Sequence[str], session_id: str, layout: Layout
    ) -> bytes:
        return answer_to_push(reply, wanted, session_id, Layout.MAP)

    monkeypatch.setattr(messages, "answer_to_push", as_in_1_19)
    with pytest.raises(Difference, match=r"the form of objects_to_push \(3\)"):
        replay(tape)


def test_what_is_no_fleet_message_is_told(federation: Federation) -> None:
    tape = recorded(federation)
    calls = (*tape.calls, Call(99, "PullMessages", 0.0, b"abc", b"abc"))
    with pytest.raises(TapeError, match=r"fakes\.tape has an invalid Fleet message"):
        replay(replace(tape, calls=calls))


def spoiled(encoded: bytes, number: int, instead: bytes) -> bytes:
    """Return a message with something else in one of its fields."""
    kept = [
        wire.field(other, bytes(value))
        for other, value in wire.fields(memoryview(encoded))
        if other != number and not isinstance(value, int)
    ]
    return b"".join(kept) + instead


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_tape_whose_calls_lack_what_calls_have_is_refused_in_words(
    federation: Federation, number: int
) -> None:
    tape = recorded(federation)
    instead = (b"", bytes([number << 3, 5]), wire.field(number, b"odd"))
    for method in {call.method for call in tape.calls}:
        for bad in instead:
            calls = [
                replace(
                    call,
                    request=spoiled(call.request, number, bad),
                    answer=spoiled(call.answer or b"", number, bad),
                )
                if call.method == method
                else call
                for call in tape.calls
            ]
            with contextlib.suppress(TapeError, Difference):  # any other exception is a failure
                replay(replace(tape, calls=tuple(calls)))
