"""A ClientApp's Context counts together with the reply that it came with, or not at all."""

import os
from pathlib import Path

import pytest

from algorithm.station.contexts import Contexts
from algorithm.station.job import Message
from algorithm.station.runtime import NoReply
from algorithm.tests.stations import Station, failure_of, reply_of
from proxy.fleet.messages import ErrorCode
from proxy.tests.helpers import Drained

RUN = 7


class Trained(Station):
    """A station at which a ClientApp counts in its Context, as one that is killed at times."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.contexts = Contexts(self.job.contexts)
        self.contexts.folder.mkdir()
        self.contexts.current(RUN).write_text("old")

    def keep(self, message: Message) -> None:
        """Keep the Context after a message, before its reply."""
        self.contexts.coming(RUN, message.message_id).write_text("new")

    def seen_by_next(self) -> str:
        """Return the Context that the next message's ClientApp finds; no other is there then."""
        seen: list[str] = []
        self.supernode.look = lambda: seen.extend(
            path.read_text() for path in self.contexts.folder.iterdir()
        )
        self.supernode.trouble = None
        self.answer(self.receive(Drained()))
        (context,) = seen
        return context


@pytest.fixture
def station(tmp_path: Path) -> Trained:
    return Trained(tmp_path)


def test_the_next_message_finds_the_context_of_a_reply_that_was_let_go(station: Trained) -> None:
    message = station.receive(Drained())
    station.answer(message)
    station.keep(message)
    message.instruction.unlink()  # its courier has the reply
    assert station.seen_by_next() == "new"
    assert not message.folder.exists()


def test_the_next_message_finds_the_context_of_a_reply_that_was_complete_at_a_kill(
    station: Trained,
) -> None:
    message = station.receive(Drained())
    station.answer(message)
    station.keep(message)
    message.reply.rename(message.complete)
    assert station.seen_by_next() == "new"
    station.answer(message)
    assert reply_of(message)


@pytest.mark.parametrize("left", [None, 0, 100, -1])
def test_a_context_whose_reply_is_torn_or_missing_does_not_count(
    station: Trained, left: int | None
) -> None:
    message = station.receive(Drained())
    station.answer(message)
    station.keep(message)
    if left is not None:
        message.complete.write_bytes(message.reply.read_bytes()[:left])
    message.reply.unlink()
    assert station.seen_by_next() == "old"


def test_a_context_whose_message_got_a_failure_does_not_count(station: Trained) -> None:
    message = station.receive(Drained())
    station.supernode.look = lambda: station.keep(message)
    station.supernode.trouble = NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, "too late")
    station.answer(message)
    assert failure_of(message) == (4, "too late")
    assert station.seen_by_next() == "old"


def test_nothing_else_in_the_folder_is_touched_but_what_a_full_disk_left(station: Trained) -> None:
    for name in ("life", f"life.{'0' * 32}.part", "8", f"{RUN}.1f.part"):
        (station.contexts.folder / name).touch()
    station.contexts.settle(lambda _: None)
    names = {path.name for path in station.contexts.folder.iterdir()}
    assert names == {"life", f"life.{'0' * 32}.part", "7", "8"}


def test_where_a_context_cannot_be_settled_the_next_message_is_not_trained(
    station: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    message, following = station.receive(Drained()), station.receive(Drained())
    station.answer(message)
    station.keep(message)
    with monkeypatch.context() as patch:
        patch.setattr(Contexts, "accept", broken)
        station.answer(following)
    assert failure_of(following)[0] == ErrorCode.NODE_UNAVAILABLE
    assert not following.taken
    assert station.seen_by_next() == "new"


def test_a_reply_is_on_the_disk_before_its_context_counts_and_that_then_is(
    station: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = station.receive(Drained())
    station.answer(message)
    station.keep(message)
    coming = station.contexts.coming(RUN, message.message_id)
    happened: list[Path] = []
    replace = Path.replace

    def renamed(path: Path, target: Path) -> Path:
        happened.append(target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(
        os, "fsync", lambda file: happened.append(Path(f"/proc/self/fd/{file}").resolve())
    )
    station.contexts.accept(coming, message.reply)
    assert happened == [
        message.reply,
        message.folder,
        station.contexts.current(RUN),
        station.contexts.folder,
    ]


def test_a_reply_whose_context_did_not_change_waits_for_no_disk(
    station: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    station.contexts.accept(station.contexts.coming(RUN, "1f"), Path("no such reply"))
    assert synced == []
    assert station.contexts.current(RUN).read_text() == "old"
