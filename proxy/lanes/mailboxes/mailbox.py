"""What a lane stands on: a store or broker in which letters lie until the other end takes them.

A `Mailbox` is one end's side of it, towards one other end. It may hand a letter out several times,
late, and in another order than they were sent; it hands it out whole, or not at all. What makes of
that "at most once to train, exactly once to answer" is above it: `proxy.lanes.lane` at the
central, `algorithm.station.resident.station` at the station.
"""

import logging
import shutil
import threading
from pathlib import Path
from typing import ClassVar, Protocol

from proxy.errors import CarrierError
from proxy.lanes.letters.letter import LetterRefused

log = logging.getLogger(__name__)


class MailboxUnreachable(CarrierError):
    """A store or broker does not answer; trying again may help."""

    code = "mailbox-unreachable"


class LetterTooLarge(LetterRefused):
    """A letter does not fit on this end's disk. It is done, and was not written."""

    code = "letter-too-large"


# A question and its like: without a bundle a letter is its head, and what seals that.
_SMALL_BYTES = 64 << 10


class Room:
    """The room for letters on one end's disk; asked for before a letter is written.

    A reply waits for room at the central: somebody trained for it. A station refuses what finds
    none, so that the central hears why. Small letters are not held up.

    Replies of several stations may come at once. So at the central each keeps the room that it
    found, until it has its place.

    Parameters
    ----------
    at_station : bool
        Whether this is the station's side.
    """

    _looking = threading.Lock()  # for the next one
    # By letter: the disk, and how many bytes, with those that are written.
    _kept: ClassVar[dict[Path, tuple[int, int]]] = {}

    def __init__(self, at_station: bool) -> None:
        self._waits = not at_station
        self._told = False

    def is_there(self, letter: Path, size: int) -> bool:
        """Whether there is room for a letter now; if there is none, the log says so once.

        Parameters
        ----------
        letter : Path
            Where it would be written, in an existing folder. What it keeps is let go there.
        size : int
            How many bytes it says it has.

        Raises
        ------
        LetterTooLarge
            If it is not to wait.
        """
        if size <= _SMALL_BYTES:
            return True
        folder, needed = letter.parent, 2 * size
        with self._looking:
            self._kept.pop(letter, None)
            usage, disk = shutil.disk_usage(folder), _disk(folder)
            kept = sum(
                max(0, room - _size(other))
                for other, (where, room) in self._kept.items()
                if where == disk
            )
            if needed + kept <= usage.free:
                if self._waits:
                    self._kept[letter] = disk, needed
                self._told = False
                return True
        for_others = f", {kept:,} of them kept for other letters" if kept else ""
        lacking = (
            f"A letter of {size:,} bytes does not fit: with its content it takes twice that, and"
            f" {usage.free:,} bytes are free at {folder}{for_others}."
        )
        if not self._waits or needed > usage.total:
            raise LetterTooLarge(lacking)
        if not self._told:
            log.warning("%s It waits for room until its message's deadline.", lacking)
            self._told = True
        return False

    @classmethod
    def move(cls, letter: Path, to: Path) -> None:
        """Give a letter another place, with the room that it keeps."""
        shutil.move(letter, to)
        with cls._looking:
            if letter in cls._kept:
                _, size = cls._kept.pop(letter)
                cls._kept[to] = _disk(to.parent), size

    @classmethod
    def let_go(cls, letter: Path) -> None:
        """Keep nothing any more for a letter: it has its place, or is gone."""
        with cls._looking:
            cls._kept.pop(letter, None)


def _size(letter: Path) -> int:
    try:
        return letter.stat().st_size
    except FileNotFoundError:
        return 0


def _disk(folder: Path) -> int:
    return folder.stat().st_dev


class Mailbox(Protocol):
    """One end's side; `send` may be called from any thread, `receive` and `done` from one.

    All may raise `MailboxUnreachable`, and are called again then.
    """

    def send(self, letter: Path) -> None:
        """Leave a letter for the other end, for good: it survives this process."""
        ...

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for the next letter, and leave it in a file.

        A letter is handed out once to this object, unless it is postponed, and again to its
        successors until it is `done`.

        Parameters
        ----------
        into : Path
            The file. Whoever is done with it lets go of the room that it keeps (`Room`).
        seconds : float
            How long to wait at most.

        Returns
        -------
        str | None
            The letter's name here; None if none came.

        Raises
        ------
        LetterRefused
            If the next one does not fit on the disk (`LetterTooLarge`), or lies there truncated; it
            is done. One that only has to wait for room (`Room`) comes later.
        """
        ...

    def done(self, name: str) -> None:
        """Never hand out a letter again, and remove it, where that is possible."""
        ...

    def postpone(self, name: str) -> None:
        """Hand out a letter again, after newer ones: its reader has no room for its content."""
        ...

    def wipe(self) -> None:
        """Remove what was sent from here and not taken yet, where that is possible."""
        ...

    def check(self) -> None:
        """Find out whether it can be used: raises `CarrierError` if it cannot."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Done:
    """Letters that their reader is done with, until the mailbox has heard so.

    Parameters
    ----------
    mailbox : Mailbox
        Where they lie.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._names: list[str] = []

    def add(self, name: str) -> None:
        """Be done with a letter; raises as `tell`."""
        self.note(name)
        self.tell()

    def note(self, *names: str) -> None:
        """Be done with letters; the mailbox hears of it when it is told next."""
        self._names += names

    def tell(self) -> None:
        """Tell the mailbox of all of them.

        Raises
        ------
        MailboxUnreachable
            If it cannot be told now. To be called again then: the letter would lie there for ever.
        """
        while self._names:
            self._mailbox.done(self._names[0])
            del self._names[0]
