"""What every mailbox must do, whatever it stands on. Tests of a store or broker inherit this."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from proxy.lanes.mailboxes.mailbox import LetterTooLarge, Mailbox, Room
from proxy.tests.helpers import noise, wait_until

Made = Callable[[bool], Mailbox]


class Usage(NamedTuple):
    """How much room there is, as `shutil.disk_usage` says it."""

    free: int
    total: int = 1 << 40


class MailboxContract:
    """Inherit it, and say how a mailbox of a new, empty lane is made: `made(at_station)`."""

    @pytest.fixture
    @abstractmethod
    def made(self) -> Made:
        raise NotImplementedError

    @pytest.fixture
    def central(self, made: Made) -> Mailbox:
        return made(False)

    @pytest.fixture
    def station(self, made: Made) -> Mailbox:
        return made(True)

    def test_letters_arrive_whole_in_either_direction(
        self, central: Mailbox, station: Mailbox, tmp_path: Path
    ) -> None:
        for sender, receiver in ((central, station), (station, central)):
            for size in (0, 1, 3_000_000):
                sender.send(letter(tmp_path, noise(size)))
                assert taken(receiver, tmp_path) == noise(size)

    def test_letters_come_in_the_order_in_which_they_were_sent(
        self, central: Mailbox, station: Mailbox, tmp_path: Path
    ) -> None:
        for number in range(5):
            central.send(letter(tmp_path, b"%d" % number))
        assert [taken(station, tmp_path) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]

    def test_nothing_comes_where_nothing_was_sent(
        self, central: Mailbox, station: Mailbox, tmp_path: Path
    ) -> None:
        central.send(letter(tmp_path, b"for the station"))
        assert central.receive(tmp_path / "got", 0.1) is None
        assert taken(station, tmp_path)
        assert station.receive(tmp_path / "got", 0.1) is None

    def test_a_letter_that_is_not_done_comes_again_to_a_successor_only(
        self, central: Mailbox, station: Mailbox, made: Made, tmp_path: Path
    ) -> None:
        central.send(letter(tmp_path, b"first"))
        central.send(letter(tmp_path, b"second"))
        assert taken(station, tmp_path, done=False) == b"first"
        assert taken(station, tmp_path) == b"second"
        assert station.receive(tmp_path / "got", 0.1) is None
        station.close()
        successor = made(True)
        assert taken(successor, tmp_path) == b"first"

    def test_a_letter_that_is_done_never_comes_again(
        self, central: Mailbox, station: Mailbox, made: Made, tmp_path: Path
    ) -> None:
        central.send(letter(tmp_path, b"first"))
        assert taken(station, tmp_path) == b"first"
        station.close()
        central.send(letter(tmp_path, b"second"))
        assert taken(made(True), tmp_path) == b"second"

    def test_a_letter_that_is_postponed_comes_again(
        self, central: Mailbox, station: Mailbox, tmp_path: Path
    ) -> None:
        for sender, receiver in ((central, station), (station, central)):
            sender.send(letter(tmp_path, b"for which there is no room"))
            names: list[str] = []

            def received(receiver: Mailbox = receiver, names: list[str] = names) -> bool:
                names += filter(None, [receiver.receive(tmp_path / "got", 0.2)])
                return bool(names)

            assert wait_until(received)
            receiver.postpone(names[0])
            assert taken(receiver, tmp_path) == b"for which there is no room"
            assert receiver.receive(tmp_path / "got", 0.1) is None

    def test_a_letter_that_is_postponed_comes_after_newer_ones(
        self, central: Mailbox, station: Mailbox, tmp_path: Path
    ) -> None:
        for content in (b"a large reply", b"that the station is there"):
            station.send(letter(tmp_path, content))
        names: list[str] = []

        def received() -> bool:
            names.extend(filter(None, [central.receive(tmp_path / "got", 0.2)]))
            return bool(names)

        assert wait_until(received)
        central.postpone(names[0])
        assert taken(central, tmp_path) == b"that the station is there"
        assert taken(central, tmp_path) == b"a large reply"

    def test_what_was_sent_before_the_other_end_was_there_arrives(
        self, central: Mailbox, made: Made, tmp_path: Path
    ) -> None:
        central.send(letter(tmp_path, b"early"))
        central.close()
        assert taken(made(True), tmp_path) == b"early"

    def test_what_is_wiped_does_not_arrive_and_what_follows_does(
        self, central: Mailbox, station: Mailbox, tmp_path: Path
    ) -> None:
        central.send(letter(tmp_path, b"wiped"))
        station.send(letter(tmp_path, b"of the station"))
        central.wipe()
        central.send(letter(tmp_path, b"after"))
        assert taken(station, tmp_path) == b"after"
        assert taken(central, tmp_path) == b"of the station"

    @pytest.mark.parametrize("total", [1 << 40, 5_000_000], ids=["now", "ever"])
    def test_a_letter_that_does_not_fit_at_a_station_is_refused_and_the_next_one_arrives(
        self,
        central: Mailbox,
        station: Mailbox,
        made: Made,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        total: int,
    ) -> None:
        central.send(letter(tmp_path, noise(3_000_000)))
        with monkeypatch.context() as patch:
            patch.setattr("shutil.disk_usage", lambda _: Usage(5_000_000, total))
            with pytest.raises(LetterTooLarge, match="does not fit"):
                taken(station, tmp_path)
            central.send(letter(tmp_path, b"small"))
            assert taken(station, tmp_path) == b"small"
        station.close()
        central.send(letter(tmp_path, b"after"))
        assert taken(made(True), tmp_path) == b"after"

    def test_a_letter_that_does_not_fit_at_the_central_waits_for_room_and_the_next_one_arrives(
        self,
        central: Mailbox,
        station: Mailbox,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        station.send(letter(tmp_path, noise(3_000_000)))
        with monkeypatch.context() as patch:
            patch.setattr("shutil.disk_usage", lambda _: Usage(5_000_000))
            for content in (b"small", b"smaller"):
                station.send(letter(tmp_path, content))
                assert taken(central, tmp_path) == content
            assert central.receive(tmp_path / "got", 0.5) is None
        assert taken(central, tmp_path) == noise(3_000_000)
        assert caplog.text.count("It waits for room") == 1

    def test_a_letter_that_will_never_fit_at_the_central_is_refused(
        self,
        central: Mailbox,
        station: Mailbox,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        station.send(letter(tmp_path, noise(3_000_000)))
        usage = Usage(5_000_000, 5_000_000)
        with monkeypatch.context() as patch:
            patch.setattr("shutil.disk_usage", lambda _: usage)
            with pytest.raises(LetterTooLarge, match="does not fit"):
                taken(central, tmp_path)
        station.send(letter(tmp_path, b"after"))
        assert taken(central, tmp_path) == b"after"

    def test_a_question_is_not_refused_on_a_full_disk(
        self, central: Mailbox, station: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each refusal has an instruction sent again, which is not done often."""
        monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(100))
        for sender, receiver in ((central, station), (station, central)):
            sender.send(letter(tmp_path, noise(2000)))
            assert taken(receiver, tmp_path) == noise(2000)

    def test_a_mailbox_that_can_be_used_passes_its_check(self, station: Mailbox) -> None:
        station.check()


def letter(folder: Path, content: bytes) -> Path:
    """Write a letter."""
    path = folder / "letter"
    path.write_bytes(content)
    return path


def taken(mailbox: Mailbox, folder: Path, done: bool = True) -> bytes:
    """Wait for a letter; returns its content."""
    names: list[str] = []

    def receive() -> bool:
        if name := mailbox.receive(folder / "got", 0.2):
            names.append(name)
        return bool(names)

    assert wait_until(receive)
    if done:
        mailbox.done(names[0])
    Room.let_go(folder / "got")
    return (folder / "got").read_bytes()
