"""A lane in a folder: one on this machine here; `integration_tests/test_lanes.py` has servers."""

import errno
import shutil
from pathlib import Path

import fsspec.core
import pytest

from proxy.lanes.letters.letter import Altered
from proxy.lanes.mailboxes.folder import FolderMailbox, _connection
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable
from proxy.lanes.mailboxes.tests.mailboxes import Made, MailboxContract, letter, taken
from proxy.lanes.testing import MemoryLane
from proxy.testing import FakeClock


class TestFolder(MailboxContract):
    @pytest.fixture
    def made(self, tmp_path: Path) -> Made:
        (tmp_path / "lane").mkdir()
        return lambda at_station: FolderMailbox(str(tmp_path / "lane"), "north", at_station)


class TestMemory(MailboxContract):
    @pytest.fixture
    def made(self) -> Made:
        lane = MemoryLane()
        return lambda at_station: lane.at_station() if at_station else lane.at_central()


@pytest.fixture
def lane(tmp_path: Path) -> Path:
    (tmp_path / "lane").mkdir()
    return tmp_path / "lane" / "north"


def mailbox(lane: Path, at_station: bool = True) -> FolderMailbox:
    return FolderMailbox(str(lane.parent), lane.name, at_station)


def files(lane: Path) -> list[str]:
    return [path.name for path in lane.rglob("*") if path.is_file()]


def test_nothing_is_left_of_letters_that_are_done(lane: Path, tmp_path: Path) -> None:
    central, station = mailbox(lane, at_station=False), mailbox(lane)
    for _ in range(50):
        central.send(letter(tmp_path, b"there"))
        assert taken(station, tmp_path)
        station.send(letter(tmp_path, b"back"))
        assert taken(central, tmp_path)
    assert files(lane) == []


def test_a_letter_that_did_not_fit_takes_no_room(
    lane: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    station = mailbox(lane)
    monkeypatch.setattr("proxy.lanes.mailboxes.folder.durable.publish", full)
    with pytest.raises(MailboxUnreachable, match="No space left"):
        station.send(letter(tmp_path, b"there"))
    assert files(lane) == []


def test_a_letter_that_is_half_written_is_not_read(lane: Path, tmp_path: Path) -> None:
    station = mailbox(lane)
    station.check()
    path = lane / "to-station" / f"{1:020d}-{2:08x}-10.letter"
    path.write_bytes(b"12345")
    assert station.receive(tmp_path / "got", 0.1) is None
    path.write_bytes(b"1234567890")
    assert taken(station, tmp_path) == b"1234567890"


def test_a_letter_that_was_truncated_is_removed_and_refused(lane: Path, tmp_path: Path) -> None:
    clock = FakeClock()
    station = FolderMailbox(str(lane.parent), lane.name, at_station=True, clock=clock)
    station.check()
    path = lane / "to-station" / f"{1:020d}-{2:08x}-10.letter"
    for content in (b"12345", b"123456"):  # a store that renames by copying writes it slowly
        path.write_bytes(content)
        clock.passed += 80.0
        assert station.receive(tmp_path / "got", 0.6) is None
    clock.passed += 100.0
    with pytest.raises(Altered, match=r"10\.letter has 6 bytes"):
        station.receive(tmp_path / "got", 0.6)
    assert files(lane) == []


def test_files_of_others_are_passed_over(lane: Path, tmp_path: Path) -> None:
    station = mailbox(lane)
    station.check()
    (lane / "to-station" / ".DS_Store").write_bytes(b"x")
    (lane / "to-station" / "folder").mkdir()
    assert station.receive(tmp_path / "got", 0.1) is None


def test_what_a_killed_writer_left_half_written_is_removed(lane: Path, tmp_path: Path) -> None:
    mailbox(lane, at_station=False).check()
    (lane / "to-station" / f"{1:020d}-{2:08x}-10.letter.part").write_bytes(b"12345")
    mailbox(lane, at_station=False).send(letter(tmp_path, b"new"))
    assert len(files(lane)) == 1


def test_files_of_others_in_the_box_that_is_written_to_stay(lane: Path, tmp_path: Path) -> None:
    central = mailbox(lane, at_station=False)
    central.check()
    (lane / "to-station" / "README").write_text("what this is for")
    central.send(letter(tmp_path, b"new"))
    assert "README" in files(lane)


@pytest.mark.parametrize(("mode", "reason"), [(0o1777, "sticky"), (0o555, "not removed")])
def test_a_box_whose_letters_can_be_read_but_not_removed_does_not_pass_the_check(
    lane: Path, monkeypatch: pytest.MonkeyPatch, mode: int, reason: str
) -> None:
    station = mailbox(lane)
    station.check()
    (lane / "to-station").chmod(mode)
    # Root may remove all.
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    monkeypatch.setattr("os.access", lambda box, _: box.stat().st_mode & 0o002)
    with pytest.raises(MailboxUnreachable, match=reason):
        station.check()


@pytest.mark.parametrize(
    ("url", "configured", "passed"),
    [
        ("webdav://lane", {"base_url": "https://share"}, {"timeout": 60.0}),
        ("webdav://lane", {"timeout": 20}, {}),
        ("s3://lane", {}, {}),
    ],
)
def test_webdav_waits_for_a_slow_link_unless_its_settings_say_for_how_long(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    configured: dict[str, object],
    passed: dict[str, object],
) -> None:
    connected: list[dict[str, object]] = []

    def connect(_: str, **options: object) -> tuple[None, str]:
        connected.append(options)
        return None, "lane"

    protocol, _, _ = url.partition(":")
    monkeypatch.setattr("fsspec.core.url_to_fs", connect)
    monkeypatch.setitem(fsspec.core.conf, protocol, configured)
    _connection(url, protocol)
    assert connected == [{"skip_instance_cache": True, **passed}]


def test_an_error_names_the_file(lane: Path, tmp_path: Path) -> None:
    station = mailbox(lane)
    station.check()
    station.send(letter(tmp_path, b"before"))
    shutil.rmtree(lane / "to-central")
    with pytest.raises(MailboxUnreachable, match=f": {lane}/to-central"):
        station.send(letter(tmp_path, b"after"))


def test_a_clock_that_was_set_back_loses_no_letter(
    lane: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    central, station = mailbox(lane, at_station=False), mailbox(lane)
    central.send(letter(tmp_path, b"in 2026"))
    assert taken(station, tmp_path, done=False) == b"in 2026"
    monkeypatch.setattr("proxy.lanes.mailboxes.folder.time.time_ns", lambda: 1)
    central.send(letter(tmp_path, b"in 1970"))
    assert taken(station, tmp_path) == b"in 1970"


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    station = FolderMailbox(str(tmp_path / "file"), "north", at_station=True)
    with pytest.raises(MailboxUnreachable, match=r"cannot be used: .*Not a directory|File exists"):
        station.check()


def test_a_folder_that_is_there_again_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    station = FolderMailbox(str(tmp_path / "file"), "north", at_station=True)
    with pytest.raises(MailboxUnreachable):
        station.check()
    (tmp_path / "file").unlink()
    (tmp_path / "file").mkdir()
    station.check()


def test_a_folder_is_made_but_not_that_in_which_it_lies(tmp_path: Path) -> None:
    station = FolderMailbox(str(tmp_path / "mnt" / "share"), "north", at_station=True)
    with pytest.raises(MailboxUnreachable, match=r"share is not there: mount it, or make it"):
        station.check()
    (tmp_path / "mnt").mkdir()
    station.check()
    assert (tmp_path / "mnt" / "share" / "north").exists()


def test_nothing_is_made_in_the_place_of_a_folder_that_is_not_mounted_for_a_while(
    lane: Path, tmp_path: Path
) -> None:
    central, station = mailbox(lane, at_station=False), mailbox(lane)
    central.send(letter(tmp_path, b"before"))
    assert taken(station, tmp_path, done=False) == b"before"
    share = lane.parent.rename(tmp_path / "share")
    lane.parent.mkdir()  # the mount point
    with pytest.raises(MailboxUnreachable):
        central.send(letter(tmp_path, b"hidden"))
    with pytest.raises(MailboxUnreachable, match="north/to-station is not there: mount it"):
        station.receive(tmp_path / "got", 1.0)
    assert list(lane.parent.iterdir()) == []
    lane.parent.rmdir()
    share.rename(lane.parent)
    central.send(letter(tmp_path, b"after"))
    assert taken(station, tmp_path) == b"after"
    assert station.receive(tmp_path / "got", 0.1) is None
