"""A central that was killed is gone on from: each message is trained once, and answered once."""

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.central.central_proxy import CentralProxy
from proxy.central.events import Pulled, Stage
from proxy.central.tests.bridges import MODEL, TRAINED, Watch
from proxy.errors import UsageError
from proxy.fleet.messages import Reply, answer_to_push
from proxy.fleet.releases import Layout
from proxy.journal.journal import Journal
from proxy.journal.tests.journals import SPOKEN, Bridge, Killed, Station, expect_kills
from proxy.system import durable
from proxy.system.records import Record, Records
from proxy.testing import FakeSuperLink, Objects
from proxy.tests.helpers import Drained, some, wait_until, write_bundle
from proxy.transport.identity import Identity, make_keys
from proxy.transport.superlink import SuperLink


@pytest.fixture(params=SPOKEN, ids=lambda schema: schema.releases)
def bridge(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bridge]:
    expect_kills(monkeypatch)
    bridge = Bridge(tmp_path, request.param)
    yield bridge
    bridge.close()


_STAGES = (Stage.PULLED, Stage.DRAINED, Stage.SENT, Stage.ANSWERED, Stage.PUSHED)
_POINTS = [
    *((stage, noted) for stage in _STAGES for noted in (False, True)),
    *((method, True) for method in ("GetRun", "PushMessages")),
]
_OBJECT_POINTS = [
    (method, True) for method in ("PullObject", "ConfirmMessageReceived", "PushObject")
]


@pytest.mark.parametrize(("kill_at", "noted"), some([*_POINTS[1:], *_OBJECT_POINTS], 2), ids=str)
def test_wherever_a_central_is_killed_its_successor_has_the_message_answered(
    bridge: Bridge, kill_at: Stage | str, noted: bool
) -> None:
    if (kill_at, noted) in _OBJECT_POINTS and bridge.superlink.schema.layout == Layout.INLINE:
        kill_at = Stage.ANSWERED  # there are no objects
    bridge.start(kill_at, noted)
    node_ids = set(bridge.superlink.online)
    message_id = bridge.superlink.push_instruction(MODEL, *node_ids)
    bridge.await_kill()
    bridge.start()
    next_id = bridge.superlink.push_instruction(MODEL, *node_ids)
    bridge.await_answer(next_id)
    assert bridge.superlink.reply_to(message_id) == TRAINED
    assert bridge.superlink.reply_to(next_id) == TRAINED
    assert bridge.station.trained == {message_id: 1, next_id: 1}
    assert bridge.superlink.online == node_ids


@pytest.mark.parametrize("part", [False, True], ids=["of an earlier message", "in part"])
def test_a_bundle_that_a_power_cut_left_is_not_taken_for_the_message(
    bridge: Bridge, part: bool
) -> None:
    bridge.start(Stage.PULLED, True)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    (folder,) = bridge.folder.glob("stations/*")
    left = Drained().write(folder / "instruction.bundle")
    if part:
        left.write_bytes(left.read_bytes()[:100])
    bridge.start()
    bridge.await_answer(message_id)
    assert bridge.superlink.reply_to(message_id) == TRAINED


def test_a_reply_whose_bundle_was_removed_had_been_pushed_though_a_power_cut_took_the_note(
    bridge: Bridge,
) -> None:
    bridge.start(Stage.PUSHED, False)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    (left,) = bridge.folder.glob("replies/*")
    left.unlink()
    bridge.start()
    next_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_answer(next_id)
    assert bridge.superlink.reply_to(message_id) == TRAINED
    assert bridge.superlink.refused == []


@pytest.mark.parametrize(("life", "lost"), [("a", False), ("b", True), ("", True)])
def test_that_a_station_has_another_supernode_than_before_is_noted_by_the_successor(
    bridge: Bridge, life: str, lost: bool
) -> None:
    for each in ("a", life, life):
        bridge.station.supernode_life = each
        bridge.start()
        bridge.await_answer(bridge.superlink.push_instruction(MODEL, *bridge.superlink.online))
        bridge.close()
    assert [record.state_lost for record in bridge.watch.answers] == [False, lost, False]


def test_nothing_is_kept_of_a_message_that_has_its_reply(bridge: Bridge) -> None:
    bridge.start()
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.watch.wait(answers=1)
    bridge.close()
    left = [path for path in bridge.folder.rglob("*") if path.is_file()]
    assert {path.relative_to(bridge.folder).parts[0] for path in left} <= {
        *("journal", "keys", "spare")
    }
    assert Journal(bridge.folder).unfinished("north") is None
    assert bridge.station.trained == {message_id: 1}


def test_a_message_of_a_node_that_the_superlink_forgot_is_dropped(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    bridge.start(Stage.SENT)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    bridge.superlink.forget_nodes()
    bridge.start()
    assert wait_until(lambda: "does not know its node any more" in caplog.text)
    (node_id,) = bridge.superlink.online
    next_id = bridge.superlink.push_instruction(MODEL, node_id)
    bridge.await_answer(next_id)
    assert message_id not in bridge.superlink.replies
    assert bridge.station.trained == {next_id: 1}


def test_a_message_that_expired_meanwhile_is_dropped(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    bridge.start(Stage.SENT)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    bridge.clock.late = 4000.0
    bridge.start()
    assert wait_until(lambda: "expired while the bridge was away" in caplog.text)
    assert message_id not in bridge.superlink.replies
    assert not bridge.station.trained


def test_a_message_of_a_run_that_ended_meanwhile_is_dropped(bridge: Bridge) -> None:
    bridge.start(Stage.SENT)
    (node_id,) = bridge.superlink.online
    message_id = bridge.superlink.push_instruction(MODEL, node_id)
    bridge.await_kill()
    bridge.superlink.end_run(bridge.superlink.run_id)
    bridge.start()
    bridge.watch.wait(answers=1)
    assert message_id not in bridge.superlink.replies
    assert "no reply is needed" in bridge.watch.answers[0].error


def test_a_message_that_cannot_be_noted_for_want_of_room_is_not_trained(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.start()

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("proxy.system.durable.write", full)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.watch.wait(answers=1)
    reply = bridge.superlink.reply_to(message_id)
    assert isinstance(reply, fleet.Error)
    assert reply.code == 5
    assert "No space left on device. The message was not sent." in reply.reason
    assert not bridge.station.trained


def test_a_station_is_asked_with_the_bundle_of_before_if_there_is_no_room_for_a_new_one(
    bridge: Bridge,
) -> None:
    bridge.start(Stage.SENT)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    (bundle,) = bridge.folder.glob("stations/*/instruction.bundle")
    bundle.with_name("instruction.new.part").symlink_to("/dev/full")
    bridge.start()
    bridge.await_answer(message_id)
    assert bridge.superlink.reply_to(message_id) == TRAINED
    assert bridge.station.trained == {message_id: 1}


def test_a_reply_that_could_not_be_noted_for_want_of_room_is_not_given_again(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    # flwr 1.43 takes a second reply.
    bridge.superlink.repeats = bridge.superlink.schema.layout == Layout.TREE

    def full(records: Records, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:

        def train(_: Objects) -> Objects:
            patch.setattr(Records, "append", full)
            return TRAINED

        bridge.station.clientapp = train
        bridge.start()
        message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
        bridge.await_answer(message_id)
        bridge.close()
    bridge.station.clientapp = lambda _: TRAINED
    bridge.start()
    next_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_answer(next_id)
    pushes = [data for method, data in bridge.superlink.calls if method == "PushMessages"]
    answered = [Reply.decode(data).metadata.reply_to_message_id for data in pushes]
    assert answered == [message_id, next_id]


class _Usage(NamedTuple):
    """How much room there is, as `shutil.disk_usage` says it."""

    total: int
    free: int


def fill(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a journal's disk be full but for its spare room, in which no bundle fits."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spare = folder / "spare"
    has_spare = spare.exists()

    def in_spare_room(write: Callable[..., None]) -> Callable[..., None]:
        return lambda *given: write(*given) if has_spare and not spare.exists() else full()

    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(total=1 << 40, free=0))
    monkeypatch.setattr("proxy.central.drain.BundleWriter", full)
    monkeypatch.setattr("proxy.system.durable.write", in_spare_room(durable.write))
    monkeypatch.setattr(Records, "append", in_spare_room(Records.append))


def test_a_message_that_came_on_a_full_disk_is_answered_though_the_central_is_killed_before(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_tree = bridge.superlink.schema.layout == Layout.TREE
    bridge.start("PullObject" if is_tree else "PushMessages")
    with monkeypatch.context() as patch:
        fill(bridge.folder, patch)
        message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
        bridge.await_kill()
    bridge.start()
    next_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_answer(next_id)
    reply = bridge.superlink.reply_to(message_id)
    assert isinstance(reply, fleet.Error)
    assert reply.code == 5
    assert bridge.station.trained == {next_id: 1}


def test_spare_room_that_was_used_is_taken_again_as_soon_as_there_is_room(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.start()
    spare = bridge.folder / "spare"
    size = spare.stat().st_size
    assert size == spare.stat().st_blocks * 512 == 1 << 20
    with monkeypatch.context() as patch:
        fill(bridge.folder, patch)
        bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
        bridge.watch.wait(answers=1)
        assert not spare.exists()
    bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.watch.wait(answers=2)
    assert spare.stat().st_size == size


def test_a_journal_on_a_disk_without_spare_room_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(total=1 << 40, free=1 << 20))
    with closing(Journal(tmp_path)) as journal:
        journal.trace(pulled(Drained()))
        assert journal.unfinished("north") is not None
    assert not (tmp_path / "spare").exists()


def test_a_run_that_has_ended_takes_no_spare_room(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.begin({}, {})
        journal.end("completed")
    assert not (tmp_path / "spare").exists()


def refuse(superlink: FakeSuperLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each reply refused that is no error."""
    take = superlink._push_messages

    def push(reply: Reply) -> bytes:
        if reply.error is not None:
            return take(reply)
        superlink.refused.append(reply)
        if superlink.schema.layout == Layout.INLINE:
            return fleet.PushMessagesResponse(results={"None": 0}).SerializeToString()
        return answer_to_push(reply, [], "session", superlink.schema.layout)

    monkeypatch.setattr(superlink, "_push_messages", push)


def test_a_message_whose_reply_was_refused_gets_an_error_from_the_successor_too(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(bridge.superlink, monkeypatch)
    bridge.start(Stage.REFUSED)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    bridge.start()
    bridge.await_answer(message_id)
    reply = bridge.superlink.reply_to(message_id)
    assert isinstance(reply, fleet.Error)
    assert reply.code == 4
    assert wait_until(lambda: not any((bridge.folder / "replies").iterdir()))
    assert bridge.station.trained == {message_id: 1}


def fill_at(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full whenever a stage is to be noted."""
    append = Records.append

    def full(records: Records, record: Record, sync: bool = True) -> None:
        if record.get("event") == stage:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(records, record, sync)

    monkeypatch.setattr(Records, "append", full)


@pytest.mark.parametrize("stage", [Stage.ANSWERED, Stage.PUSHED])
def test_on_a_full_disk_no_reply_stays_that_was_pushed(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    fill_at(stage, monkeypatch)
    bridge.start()
    for number in range(1, 3):
        bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
        bridge.watch.wait(answers=number)
    assert wait_until(lambda: not any((bridge.folder / "replies").iterdir()))


def test_a_bundle_that_answers_another_message_is_not_taken_for_the_reply(bridge: Bridge) -> None:
    bridge.start(Stage.ANSWERED)
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    (kept,) = (bridge.folder / "replies").iterdir()
    with Bundle(kept) as bundle:
        header, objects = bundle.header, {each: bundle.read(each) for each in bundle.object_ids}
    header.message_id = "another"
    write_bundle(kept, header, objects)
    bridge.start()
    bridge.await_answer(message_id)
    reply = bridge.superlink.reply_to(message_id)
    assert isinstance(reply, fleet.Error)
    assert "answers message another" in reply.reason


def test_a_message_that_a_central_without_a_journal_had_under_the_same_key_is_answered(
    tmp_path: Path,
) -> None:
    superlink, watch = FakeSuperLink(), Watch()
    make_keys(tmp_path, ["north"])
    with closing(Identity(tmp_path / "north", joins=True)) as identity:
        link = SuperLink(superlink, identity=identity)
        link.register()
        message_id = superlink.push_instruction(MODEL, link.node_id)
        instruction = link.pull_messages()
        assert instruction is not None
        identity.keep_message(instruction.encoded)
    with (
        closing(Identity(tmp_path / "north", joins=True)) as identity,
        closing(Journal(tmp_path / "journal")) as journal,
    ):
        central = CentralProxy(
            lambda _: SuperLink(superlink, identity=identity),
            Station(tmp_path / "station"),
            journal.work,
            60.0,
            watch,
            {"north": identity},
            journal=journal,
        )
        central.start()
        watch.wait(answers=1)
        central.stop()
        assert not identity.kept_message()
    reply = superlink.reply_to(message_id)
    assert isinstance(reply, fleet.Error)
    assert reply.code == 5


def test_a_message_that_was_answered_and_comes_again_is_not_trained_by_a_successor(
    tmp_path: Path,
) -> None:
    """From flwr 1.43 on a SuperLink hands out a message until it hears that it arrived."""
    bridge = Bridge(tmp_path)
    superlink = bridge.superlink
    superlink.repeats = True
    central = bridge.start()
    message_id = superlink.push_instruction(MODEL, *superlink.online)
    superlink.withheld = {message_id}
    superlink.be_unreachable(10**6, "ConfirmMessageReceived")
    bridge.await_answer(message_id)
    central.stop()
    bridge.shut()
    superlink.withheld.clear()
    superlink.be_unreachable(0, "ConfirmMessageReceived")
    bridge.start()
    next_id = superlink.push_instruction(MODEL, *superlink.online)
    bridge.await_answer(next_id)
    assert isinstance(superlink.reply_to(message_id), fleet.Error)
    assert bridge.station.trained == {next_id: 1}
    bridge.close()


def test_a_message_of_a_central_that_was_killed_before_it_could_note_it_is_taken_up(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = threading.Event()

    def killed(*_: object) -> None:
        shutil.copytree(bridge.folder, bridge.folder.with_name("as-it-was"))
        copied.set()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_note_of", killed)
        bridge.start()
        message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
        assert copied.wait(60.0)
    bridge.folder = bridge.folder.with_name("as-it-was")
    bridge.start()
    bridge.await_answer(message_id)
    assert bridge.superlink.reply_to(message_id) == TRAINED
    assert bridge.station.trained == {message_id: 1}


def pulled(sent: Drained) -> Pulled:
    return Pulled(station="north", instruction=sent.instruction, step=1, at=0.0, seconds={})


def test_a_message_that_is_over_is_not_taken_up_again(tmp_path: Path) -> None:
    """Its central was killed before it could remove it."""
    sent = Drained()
    with closing(Journal(tmp_path)) as journal:
        journal.trace(pulled(sent))
        kept = next((tmp_path / "pulled").iterdir())
        journal.give_up("north", "It expired.")
        kept.write_bytes(sent.pulled)
    with closing(Journal(tmp_path)) as journal:
        assert journal.unfinished("north") is None


def test_messages_of_stations_that_are_not_attached_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.trace(pulled(Drained()))
        journal.tell_of_others(["north"])
        assert not caplog.text
        journal.tell_of_others(["south"])
    assert "of station north has no answer yet" in caplog.text


def test_a_station_that_may_train_a_message_is_not_brought_it_in_another_way(
    tmp_path: Path,
) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.check_reached(["north", "south"], "over a lane")
        journal.trace(pulled(Drained()))
    with closing(Journal(tmp_path)) as journal:
        journal.check_reached(["south"], "on this machine")
        journal.check_reached(["north"], "over a lane")
        with pytest.raises(UsageError, match="for station north, which got it over a lane"):
            journal.check_reached(["north", "south"], "on this machine")
        journal.give_up("north", "It expired.")
        journal.check_reached(["north"], "on this machine")


def test_a_message_that_is_lost_is_said(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    bridge.start(Stage.SENT)
    bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.await_kill()
    (pulled,) = (bridge.folder / "pulled").iterdir()
    pulled.unlink()
    bridge.start()
    assert wait_until(lambda: "is dropped. The message itself was lost." in caplog.text)


def test_what_a_killed_central_had_begun_to_write_is_removed(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    for begun in ("pulled/0a1b.part", "spare.0a1b.part"):
        (tmp_path / begun).touch()
    Journal(tmp_path)
    assert not [*tmp_path.rglob("*.part")]


def test_a_journal_that_another_central_writes_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(UsageError, match="is in use by another flower-v6"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_a_journal_stays_where_it_is_whatever_the_working_directory_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folders go to apps, which may change theirs."""
    monkeypatch.chdir(tmp_path)
    assert Journal(Path("course")).work == tmp_path / "course" / "work"


def test_a_journal_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("")
    with pytest.raises(UsageError, match="cannot be used: File exists"):
        Journal(tmp_path / "journal" / "below")
