"""Native runs of every era, replayed without Flower: the bridge says what was recorded.

And the gate can fail: whatever of the Fleet API the bridge gets wrong, a tape tells, and where.
"""

import lzma
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from integration_tests.record import RELEASES, TAPES, contents_page
from protos import fleet_pb2 as fleet
from proxy.client import ClientProxy
from proxy.errors import Unimplemented
from proxy.fleet import messages
from proxy.fleet.releases import SCHEMAS, Layout, era_of
from proxy.tapes.replay import replay
from proxy.tapes.replay.rules import Difference
from proxy.tapes.replay.story import stories_on
from proxy.tapes.tape import Tape, read_tape
from proxy.transport.superlink import SuperLink

PATHS = sorted(TAPES.glob("*.tape"))
# One of each form that the Fleet API has had, the newest first.
EACH_FORM = ("1.42.0", "1.22.0", "1.19.0", "1.18.0")
# Fields that a replay neither reads nor writes by name.
UNUSED = {
    "RegisterNodeResponse.node_id",  # the answer to ActivateNode says it too
    "MapPullMessagesResponse.messages_list",  # read as PullMessagesResponse
    # A station's policy reads them, and tapes are replayed without one.
    "Run.fab_id",
    "Run.fab_version",
    "Run.override_config",
    # They tell of a reply that was refused, and no tape has one.
    "PushMessagesResponse.results",
    "MapPushMessagesResponse.results",
}
FIELDS = [
    f"{name}.{field.name}"
    for name, message in fleet.DESCRIPTOR.message_types_by_name.items()
    for field in message.fields
]


def tape(release: str) -> Tape:
    """Return the tape of a release."""
    return read_tape(TAPES / f"{release}.tape")


def first_difference(releases: Sequence[str] = EACH_FORM) -> str:
    """Return what the first tape that differs has to say."""
    for release in releases:
        try:
            replay(tape(release))
        except Difference as difference:
            return difference.message
    return ""


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_bridge_says_what_was_recorded(path: Path) -> None:
    replayed = replay(read_tape(path))
    assert (replayed.nodes, replayed.messages, replayed.skipped) == (2, 8, 0)


def test_there_is_a_tape_of_every_era() -> None:
    assert {path.stem for path in PATHS} >= set(RELEASES)
    eras = [era_of(path.stem) for path in PATHS]
    assert {era.schema for era in eras} == set(SCHEMAS)
    assert {era.transport for era in eras} == {"grpc", "http"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_tape_says_how_it_was_recorded(path: Path) -> None:
    header = read_tape(path).header
    assert header.about.startswith(f"flwr {path.stem};")
    assert header.transport == era_of(path.stem).transport
    assert re.match(r"20\d\d-\d\d-\d\dT", header.recorded_at)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_tape_has_state_and_an_exception_on_it(path: Path) -> None:
    """Or else replaying it would prove less."""
    text = lzma.decompress(path.read_bytes())
    assert b"station 1 has no data today" in text
    assert text.count(b"count") > 3


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_tape_is_small_and_holds_no_secret(path: Path) -> None:
    assert path.stat().st_size < 50_000
    text = lzma.decompress(path.read_bytes()).lower()
    for secret in (b"private key", b"signature", b"flwr-timestamp", b"flwr-public-key"):
        assert secret not in text


def test_the_page_about_the_tapes_is_up_to_date() -> None:
    assert (TAPES / "README.md").read_text() == contents_page()


def test_replaying_takes_neither_flower_nor_its_programs() -> None:
    without = (
        "import sys; sys.modules['flwr'] = None; from algorithm.cli import main; sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", without, "replay", *map(str, PATHS)],
        env={"PATH": ""},
        cwd=TAPES.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("no difference in 8 messages") == len(PATHS)


@pytest.fixture
def renumber(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a field of `protos/fleet.proto` a number that is not Flower's."""

    def change(name: str) -> None:
        wrong = descriptor_pb2.FileDescriptorProto()
        fleet.DESCRIPTOR.CopyToProto(wrong)
        for message in wrong.message_type:
            for field in message.field:
                if f"{message.name}.{field.name}" == name:
                    field.number = 99
        pool = descriptor_pool.DescriptorPool()
        pool.Add(wrong)
        file = pool.FindFileByName(wrong.name)
        monkeypatch.setattr(fleet, "DESCRIPTOR", file)
        for each, kind in file.message_types_by_name.items():
            monkeypatch.setattr(fleet, each, message_factory.GetMessageClass(kind))

    return change


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in UNUSED])
def test_a_wrong_field_number_is_told(name: str, renumber: Callable[[str], None]) -> None:
    renumber(name)
    assert re.search(r"call \d+ \(|The bridge failed with|The report's", first_difference())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("PullObjectRequest.object_id", r"object_id \(99\): expected nothing, got '[0-9a-f]{64}'"),
        ("PushObjectRequest.session_id", r"PushObject .* differs in\n +field \(5\): expected '"),
        ("SendNodeHeartbeatResponse.success", r"success \(99\): expected nothing, got 1"),
        ("GetFabRequest.hash_str", r"GetFab .* differs in\n +field \(2\): expected '[0-9a-f]{64}'"),
        (
            "Metadata.message_id",
            r"ConfirmMessageReceived .*\n +message_object_id \(3\): expected '",
        ),
        (
            "Run.fab_hash",
            r"GetFab .* differs in\n +hash_str \(2\): expected '[0-9a-f]{64}', got no",
        ),
        ("Error.reason", r"The report's error is ''; on the tape it is \"<class 'ValueError'>"),
    ],
)
def test_a_wrong_field_number_is_told_by_name_and_number(
    name: str, told: str, renumber: Callable[[str], None]
) -> None:
    renumber(name)
    assert re.search(told, first_difference())


@pytest.mark.parametrize("name", sorted(UNUSED))
def test_no_field_is_taken_for_unused_that_is_used(
    name: str, renumber: Callable[[str], None]
) -> None:
    renumber(name)
    assert first_difference() == ""


@pytest.mark.parametrize("place", [0, 3, -1])
def test_an_object_id_that_is_dropped_is_told(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tree_ids = messages.tree_ids

    def one_less(tree: fleet.ObjectTree) -> Iterator[str]:
        ids = list(tree_ids(tree))
        if place < len(ids):  # an error is one object
            del ids[place]
        yield from ids

    monkeypatch.setattr(messages, "tree_ids", one_less)
    told = first_difference(["1.42.0"])
    assert re.search(r"without call \d+ \(PullObject of object [0-9a-f]{16}…\)", told)


def test_an_object_that_is_not_asked_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_to_push = messages.answer_to_push

    def one_less(
        reply: messages.Reply, wanted: Sequence[str], session_id: str, layout: Layout
    ) -> bytes:
        return answer_to_push(reply, wanted[:-1], session_id, layout)

    monkeypatch.setattr(messages, "answer_to_push", one_less)
    told = first_difference(["1.42.0"])
    assert re.search(
        r"call \d+ \(PushMessages\) lacks object [0-9a-f]{64} in objects_to_push", told
    )


@pytest.mark.parametrize(
    ("forgotten", "told"),
    [
        ("confirm_message_received", r"without call \d+ \(ConfirmMessageReceived of message "),
        ("push_object", r"The bridge never made call \d+ \(PushObject of object "),
    ],
)
def test_a_call_that_the_central_side_forgets_is_told(
    forgotten: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SuperLink, forgotten, lambda *_: None)
    assert re.search(told, first_difference(["1.42.0"]))


def methods_on(release: str) -> list[str]:
    """Return which methods were called, each once."""
    return list(dict.fromkeys(call.method for call in tape(release).calls))


@pytest.mark.parametrize(
    ("release", "method"),
    [(release, method) for release in EACH_FORM for method in methods_on(release)],
)
def test_a_call_that_the_station_side_does_not_know_is_told(
    release: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = ClientProxy.handle

    def without(self: ClientProxy, called: str, request: bytes, now: float) -> bytes | None:
        if called == method:
            raise Unimplemented("never heard of it")
        return handle(self, called, request, now)

    monkeypatch.setattr(ClientProxy, "handle", without)
    told = first_difference([release])
    assert re.search(rf"The ClientProxy does not answer call \d+ \({method}.*: Unimplemented", told)


def test_a_difference_is_told_with_tape_node_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SuperLink, "confirm_message_received", lambda *_: None)
    (story, *_) = stories_on(tape("1.42.0").calls)
    told = first_difference(["1.42.0"]).splitlines()[0]
    assert re.fullmatch(rf"1.42.0.tape, SuperNode {story.node_id}, message [0-9a-f]{{64}}:", told)
