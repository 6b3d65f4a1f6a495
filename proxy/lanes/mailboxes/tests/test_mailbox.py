"""The room for letters on a disk."""

from pathlib import Path

import pytest

from proxy.lanes.mailboxes.mailbox import LetterTooLarge, Room
from proxy.lanes.mailboxes.tests.mailboxes import Usage


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one letter of 200,000 bytes and its content, and nothing kept for others."""
    monkeypatch.setattr(Room, "_kept", {})
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free=500_000))


def test_of_letters_that_come_at_once_the_second_waits_until_the_first_has_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, moved = (tmp_path / name for name in ("first", "second", "moved"))
    assert Room(at_station=False).is_there(first, 200_000)
    room = Room(at_station=False)
    assert not room.is_there(second, 200_000)
    assert "400,000 of them kept for other letters" in caplog.text
    assert room.is_there(second, 50_000)  # small ones are not held up
    first.write_bytes(b"here")
    Room.move(first, moved)
    assert moved.read_bytes() == b"here"
    assert not room.is_there(second, 200_000)
    Room.let_go(moved)
    assert room.is_there(second, 200_000)


def test_what_is_written_of_a_letter_takes_its_room_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert Room(at_station=False).is_there(first, 200_000)
    first.write_bytes(bytes(200_000))
    assert Room(at_station=False).is_there(second, 150_000)


def test_a_letter_that_comes_anew_is_counted_once(tmp_path: Path) -> None:
    room = Room(at_station=False)
    assert room.is_there(tmp_path / "letter", 200_000)
    assert room.is_there(tmp_path / "letter", 200_000)


def test_a_letter_on_another_disk_keeps_no_room_on_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.lanes.mailboxes.mailbox._disk", lambda folder: folder.name)
    room = Room(at_station=False)
    assert room.is_there(tmp_path / "one" / "letter", 200_000)
    assert room.is_there(tmp_path / "other" / "letter", 200_000)


def test_a_station_keeps_no_room(tmp_path: Path) -> None:
    """It has one letter after the other, and an instruction for long."""
    room = Room(at_station=True)
    assert room.is_there(tmp_path / "first", 200_000)
    assert room.is_there(tmp_path / "second", 200_000)
    with pytest.raises(LetterTooLarge):
        room.is_there(tmp_path / "third", 300_000)
