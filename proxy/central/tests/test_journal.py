"""A central that was killed is gone on from: each message is trained once, and answered once."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from proxy.central.events import Stage
from proxy.central.journal import Journal
from proxy.central.tests.bridges import MODEL, TRAINED
from proxy.central.tests.journals import Bridge, expect_kills
from proxy.errors import UsageError
from proxy.fleet.messages import Reply
from proxy.fleet.releases import SCHEMAS, Layout
from proxy.system.records import Records
from proxy.testing import Objects
from proxy.tests.helpers import Drained, wait_until


@pytest.fixture(params=SCHEMAS, ids=lambda schema: schema.releases)
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


@pytest.mark.parametrize(("kill_at", "noted"), [*_POINTS[1:], *_OBJECT_POINTS], ids=str)
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


def test_nothing_is_kept_of_a_message_that_has_its_reply(bridge: Bridge) -> None:
    bridge.start()
    message_id = bridge.superlink.push_instruction(MODEL, *bridge.superlink.online)
    bridge.watch.wait(answers=1)
    bridge.close()
    left = [path for path in bridge.folder.rglob("*") if path.is_file()]
    assert {path.relative_to(bridge.folder).parts[0] for path in left} <= {
        *("journal", "keys", "lock")
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
