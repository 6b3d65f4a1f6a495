"""A lane in memory, for tests: `MemoryLane` has a mailbox at each of its two ends.

It does what stores and brokers do at their worst, by a seed: it repeats letters, hands them out
late, and in another order. It loses none.
"""

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path

from proxy.lanes.mailboxes.mailbox import LetterTooLarge, MailboxUnreachable, Room


@dataclass
class _Box:
    """Letters on their way in one direction, by name."""

    letters: dict[str, bytes] = field(default_factory=dict)
    count: int = 0


class MemoryLane:
    """Both boxes of a lane.

    Parameters
    ----------
    seed : int | None
        What goes wrong; None for nothing.

    Attributes
    ----------
    cut : bool
        Whether nobody can reach it now.
    in_vain : int
        How often somebody tried meanwhile.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.cut = False
        self.in_vain = 0
        self.changed = threading.Condition()
        self.random = None if seed is None else random.Random(seed)  # noqa: S311 - no secret
        self._boxes = _Box(), _Box()

    def at_central(self) -> "MemoryMailbox":
        """Return the central's end."""
        return MemoryMailbox(self, Room(at_station=False), *self._boxes)

    def at_station(self) -> "MemoryMailbox":
        """Return the station's end: what was handed out and is not done comes again."""
        return MemoryMailbox(self, Room(at_station=True), *reversed(self._boxes))

    @property
    def left(self) -> int:
        """How many letters lie there."""
        return sum(len(box.letters) for box in self._boxes)


class MemoryMailbox:
    """Implements `proxy.lanes.mailboxes.mailbox.Mailbox`; made by `MemoryLane`."""

    def __init__(self, lane: MemoryLane, room: Room, outgoing: _Box, incoming: _Box) -> None:
        self._lane, self._room = lane, room
        self._outgoing, self._incoming = outgoing, incoming
        self._handed_out: set[str] = set()

    def send(self, letter: Path) -> None:
        """Leave a letter, perhaps several times."""
        content, chance = letter.read_bytes(), self._lane.random
        with self._reached():
            for _ in range(chance.choice([1, 1, 2, 3]) if chance else 1):
                self._outgoing.count += 1
                self._outgoing.letters[f"{self._outgoing.count:06d}"] = content
            self._lane.changed.notify_all()

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for a letter; see `Mailbox.receive`."""
        chance = self._lane.random
        with self._reached():
            self._lane.changed.wait_for(self._waiting, min(seconds, 0.05))
            names = self._waiting()
            if not names or (chance and chance.random() < 0.2):
                return None
            if chance:
                chance.shuffle(names)
            name = next((name for name in names if self._fits(name, into)), None)
            if name is None:
                return None
            into.write_bytes(self._incoming.letters[name])
            self._handed_out.add(name)
            return name

    def _fits(self, name: str, into: Path) -> bool:
        try:
            return self._room.is_there(into, len(self._incoming.letters[name]))
        except LetterTooLarge:
            del self._incoming.letters[name]
            raise

    def _waiting(self) -> list[str]:
        return [name for name in self._incoming.letters if name not in self._handed_out]

    def done(self, name: str) -> None:
        """Remove a letter."""
        with self._reached():
            self._incoming.letters.pop(name, None)

    def postpone(self, name: str) -> None:
        """Hand out a letter again; see `Mailbox.postpone`."""
        with self._reached():
            letters = self._incoming.letters
            if name in letters:
                letters[name] = letters.pop(name)  # behind the others
            self._handed_out.discard(name)

    def wipe(self) -> None:
        """Remove what was sent from here."""
        with self._reached():
            self._outgoing.letters.clear()

    def check(self) -> None:
        """Find out whether it can be used."""
        with self._reached():
            pass

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _reached(self) -> threading.Condition:
        if self._lane.cut:
            self._lane.in_vain += 1
            raise MailboxUnreachable("The lane is cut.")
        return self._lane.changed
