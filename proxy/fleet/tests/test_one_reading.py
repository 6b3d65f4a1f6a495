"""What is accepted says one thing, whoever reads it; what is checked is what is handed over."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.client import Delivery
from proxy.errors import BundleError, FleetError
from proxy.fleet import one_reading, wire
from proxy.fleet.messages import object_id
from proxy.tapes.tape import read_tape
from proxy.tests.helpers import Drained
from proxy.tests.raw_fields import RUN_RESPONSES, raw

TAPES = Path(__file__).parents[3] / "integration_tests/tapes"
RUN = fleet.Run(run_id=7, fab_id="me/app", fab_version="1.0", fab_hash="0" * 64)
RUN.override_config["rounds"].SetInParent()
# What `Run` says, by path in a GetRunResponse; the last is the keys of a map.
SINGLE = {(1, 1): "run_id", (1, 2): "fab_id", (1, 3): "fab_version", (1, 5): "fab_hash"}
KEYS = (1, 4, 1)


@given(RUN_RESPONSES)
def test_what_is_accepted_holds_each_value_once(encoded: bytes) -> None:
    """Nothing is left to choose then: whether the first counts, the last, or both merged."""
    try:
        run = one_reading.read(fleet.GetRunResponse, encoded).run
    except FleetError:
        return
    for path, name in SINGLE.items():
        values = wire.values(encoded, *path)
        read = getattr(run, name)
        assert [each.decode() if isinstance(each, bytes) else each for each in values] in (
            [[read]] if read else [[], [read]]
        )
    assert len(wire.values(encoded, 1)) <= 1
    keys = wire.values(encoded, *KEYS)
    assert len(wire.values(encoded, 1, 4)) == len(run.override_config)
    assert {each.decode() for each in keys if isinstance(each, bytes)} | {""} == {
        *run.override_config,
        "",
    }


TEXT = st.text(max_size=5)


@given(
    st.integers(0, (1 << 64) - 1),
    TEXT,
    TEXT,
    TEXT,
    st.sets(TEXT, max_size=3),
    st.binary(max_size=9),
)
def test_what_an_encoder_writes_is_accepted(
    run_id: int, fab_id: str, version: str, fab_hash: str, keys: set[str], unknown: bytes
) -> None:
    run = fleet.Run(run_id=run_id, fab_id=fab_id, fab_version=version, fab_hash=fab_hash)
    for key in keys:
        run.override_config[key].SetInParent()
    run.MergeFromString(raw(20, unknown) + raw(21, run_id) * 2)
    encoded = fleet.GetRunResponse(run=run).SerializeToString()
    assert one_reading.read(fleet.GetRunResponse, encoded).run == run


@pytest.mark.parametrize("path", sorted(TAPES.glob("*.tape")), ids=lambda path: path.stem)
def test_what_superlinks_of_all_releases_said_is_accepted(path: Path) -> None:
    kinds = {"GetRun": fleet.GetRunResponse, "GetFab": fleet.GetFabResponse}
    answers = [call for call in read_tape(path).calls if call.method in kinds and call.answer]
    assert answers
    for call in answers:
        one_reading.read(kinds[call.method], call.answer or b"")


GOOD = RUN.SerializeToString()
AMBIGUOUS = {
    "a field twice": raw(1, GOOD) + raw(1, GOOD),
    "a field twice, the second one empty": raw(1, GOOD) + raw(1, b""),
    "a field in it twice": raw(1, GOOD + raw(2, b"/")),
    "a key twice": raw(1, GOOD + raw(4, raw(1, b"rounds"))),
    "a key that is not there, twice": raw(1, GOOD + raw(4, b"") + raw(4, raw(1, b""))),
    "a key twice in one entry": raw(1, GOOD + raw(4, raw(1, b"x") + raw(1, b"y"))),
    "more than key and value in a map": raw(1, GOOD + raw(4, raw(1, b"x") + raw(3, b""))),
    "a number for a text": raw(1, raw(2, 7)),
    "a text for a number": raw(1, raw(1, b"7")),
    "a number with bytes to spare": raw(1, raw(1, 7, more=1)),
    "a length with bytes to spare": raw(1, GOOD, more=2),
    "a number of 70 bits": raw(1, b"\x08" + b"\xff" * 9 + b"\x7f"),
    "a group": raw(1, GOOD + b"\xa3\x06\xa4\x06"),
    "field 0": raw(1, GOOD) + b"\x02\x00",
}


@pytest.mark.parametrize("encoded", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_parsers_may_read_differently_is_refused(encoded: bytes) -> None:
    with pytest.raises(FleetError):
        one_reading.read(fleet.GetRunResponse, encoded)


@pytest.mark.parametrize("encoded", [b"\x0a\x05abc", b"\x0a", b"\x08\xff", b"\xff" * 20])
def test_what_is_cut_off_is_refused_also_where_it_is_not_decoded(encoded: bytes) -> None:
    with pytest.raises(FleetError):
        one_reading.check(fleet.GetRunResponse, encoded)


def test_a_message_of_any_depth_is_refused_and_not_a_reason_to_break() -> None:
    tree = b""
    for _ in range(5000):
        tree = raw(2, tree)
    with pytest.raises(FleetError, match="too deep"):
        one_reading.check(fleet.PullMessagesResponse, raw(3, tree))


def test_a_repeated_field_repeats_unless_it_must_not() -> None:
    two = raw(2, b"") * 2
    one_reading.check(fleet.PullMessagesResponse, two)
    with pytest.raises(FleetError, match="more than once"):
        one_reading.check(fleet.PullMessagesResponse, two, ["messages_list"])


def test_wire_and_this_agree_about_what_is_no_message() -> None:
    with pytest.raises(DecodeError):
        wire.values(b"\xff", 1)
    with pytest.raises(FleetError):
        one_reading.check(fleet.GetRunResponse, b"\xff")


# Instructions


def name_two_runs(sent: Drained) -> None:
    evil = fleet.GetRunResponse(run=fleet.Run(fab_id="/", fab_version="/../../evil/app"))
    good = sent.header.instruction.get_run_response
    sent.header.instruction.get_run_response = evil.SerializeToString() + good


def send_two_apps(sent: Drained) -> None:
    evil = fleet.GetFabResponse(fab=fleet.Fab(content=b"evil")).SerializeToString()
    sent.fab = evil + sent.fab
    sent.header.instruction.fab_object_id = object_id(sent.fab)


def send_two_messages(sent: Drained) -> None:
    sent.pulled += fleet.PullMessagesResponse(messages_list=[fleet.Message()]).SerializeToString()


def name_the_objects_twice(sent: Drained) -> None:
    tree = fleet.ObjectTree(object_id=next(iter(sent.objects)))
    more = fleet.PullMessagesResponse(message_object_trees=[tree])
    sent.pulled += more.SerializeToString()


def name_the_metadata_twice(sent: Drained) -> None:
    response = fleet.PullMessagesResponse.FromString(sent.pulled)
    response.messages_list[0].MergeFromString(b"")
    message = response.messages_list[0].SerializeToString()
    twice = message + raw(1, raw(1, sent.metadata.run_id))
    del response.messages_list[:]
    sent.pulled = response.SerializeToString() + raw(2, twice)


def announce_another_message_than_its_object_is(sent: Drained) -> None:
    response = fleet.PullMessagesResponse.FromString(sent.pulled)
    response.messages_list[0].metadata.message_type = "query"
    sent.pulled = response.SerializeToString()


def name_the_objects_of_another_message(sent: Drained) -> None:
    response = fleet.PullMessagesResponse.FromString(sent.pulled)
    tree = response.message_object_trees[0]
    tree.CopyFrom(fleet.ObjectTree.FromString(tree.children[0].SerializeToString()))
    sent.pulled = response.SerializeToString()


def send_it_whole_as_well(sent: Drained) -> None:
    response = fleet.PullMessagesResponse.FromString(sent.pulled)
    message = response.messages_list[0].SerializeToString() + raw(2, b"evil")
    del response.messages_list[:]
    sent.pulled = response.SerializeToString() + raw(2, message)


@pytest.mark.parametrize(
    "lie",
    [
        send_it_whole_as_well,
        name_two_runs,
        send_two_apps,
        send_two_messages,
        name_the_objects_twice,
        name_the_metadata_twice,
        announce_another_message_than_its_object_is,
        name_the_objects_of_another_message,
    ],
)
def test_an_instruction_that_may_be_read_in_two_ways_is_refused(
    tmp_path: Path, lie: Callable[[Drained], None]
) -> None:
    sent = Drained()
    lie(sent)
    with Bundle(sent.write(tmp_path / "instruction")) as bundle, pytest.raises(BundleError):
        Delivery(bundle, sent.fab, tmp_path / "reply", "", lambda: None)
