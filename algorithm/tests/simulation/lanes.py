"""A store or broker between central and station, at its worst.

What a `Mailbox` promises it keeps: letters come whole, and stay until they are done with. All else
is the seed's choice: they come late, twice, in another order; calls fail, before or after they did
something; and in harsh schedules a letter is lost.
"""

from pathlib import Path

from algorithm.tests.simulation.scheduler import Process, Thread
from algorithm.tests.simulation.world import World
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable

_CALL_SECONDS = 0.02
_LATE_SECONDS = 10.0


class Box:
    """Letters on their way in one direction: by name, when each may be had, and its content."""

    def __init__(self) -> None:
        self.letters: dict[str, tuple[float, bytes]] = {}
        self.count = 0
        self.waiting: Thread | None = None


class Mailbox:
    """Implements `proxy.lanes.mailboxes.mailbox.Mailbox`."""

    def __init__(self, world: World, station: str, outgoing: Box, incoming: Box) -> None:
        self._world, self._station = world, station
        self._outgoing, self._incoming = outgoing, incoming
        self._handed_out: set[str] = set()

    def send(self, letter: Path) -> None:
        """Leave a letter."""
        self._world.scheduler.tell(f"sends a {letter.name}")
        content, faults, chance = letter.read_bytes(), self._world.faults, self._chance
        fails_after = self._withdraw() if letter.name == "withdrawal.letter" else self._reach()
        if self._world.troubled and chance() < faults.dropped:
            self._world.cost(f"the lane of {self._station} loses a letter")
            if letter.name == "withdrawal.letter":
                self._world.truth.cut_off.add(self._end)
        else:
            for _ in range(2 if chance() < faults.repeated and self._world.troubled else 1):
                late = self._world.troubled and chance() < faults.late
                if late and letter.name == "withdrawal.letter":  # a new central may remove it
                    self._world.truth.cut_off.add(self._end)
                at = self._world.now + (chance() ** 2 * _LATE_SECONDS if late else 0.0)
                self._outgoing.count += 1
                self._outgoing.letters[f"{self._outgoing.count:06d}"] = at, content
            if (waiting := self._outgoing.waiting) is not None and waiting.process.alive:
                self._outgoing.waiting = None
                self._world.scheduler.wake(waiting)
        if fails_after:
            raise MailboxUnreachable("The lane did not say that it has the letter.")

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for the next letter."""
        until = self._world.now + seconds
        while True:
            self._reach()
            here, next_at = [], until
            for name, (at, _) in self._incoming.letters.items():
                if name not in self._handed_out:
                    if at <= self._world.now:
                        here.append(name)
                    else:
                        next_at = min(next_at, at)
            if here:
                name = here[int(self._chance() * len(here)) if self._world.troubled else 0]
                into.write_bytes(self._incoming.letters[name][1])
                self._handed_out.add(name)
                self._world.scheduler.tell(f"receives letter {name}")
                return name
            if self._world.now >= until:
                return None
            self._incoming.waiting = self._world.scheduler.current
            self._world.scheduler.wait(next_at)
            self._incoming.waiting = None

    def done(self, name: str) -> None:
        """Remove a letter."""
        self._world.scheduler.tell(f"is done with letter {name}")
        fails_after = self._reach()
        self._incoming.letters.pop(name, None)
        if fails_after:
            raise MailboxUnreachable("The lane did not say that the letter is gone.")

    def postpone(self, name: str) -> None:
        """Hand out a letter again; see `Mailbox.postpone`."""
        self._handed_out.discard(name)

    def wipe(self) -> None:
        """Remove what was sent from here."""
        self._withdraw()
        self._outgoing.letters.clear()

    def check(self) -> None:
        """Do nothing: it can be used."""

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _withdraw(self) -> bool:
        """Reach the store for what ends a message; who does not reach it cannot be blamed."""
        self._world.truth.cut_off.add(self._end)
        fails_after = self._reach()
        self._world.truth.cut_off.discard(self._end)
        return fails_after

    @property
    def _end(self) -> tuple[Process, str]:
        return self._world.scheduler.current.process, self._station

    def _reach(self) -> bool:
        """Reach the store; returns whether the call fails after it did what it is for."""
        world = self._world
        world.scheduler.sleep(_CALL_SECONDS * self._chance())
        if world.is_away(self._station):
            raise MailboxUnreachable("The lane is cut.")
        if world.troubled and self._chance() < world.faults.lost / 4:
            if self._chance() < 0.5:
                raise MailboxUnreachable("The lane did not answer.")
            return True
        return False

    def _chance(self) -> float:
        return self._world.scheduler.chance.random()


class Lane:
    """Both boxes of one station's lane."""

    def __init__(self, world: World, station: str) -> None:
        self._world, self._station = world, station
        self._boxes = Box(), Box()

    def at_central(self) -> Mailbox:
        """Return the central's end."""
        return Mailbox(self._world, self._station, *self._boxes)

    def at_station(self) -> Mailbox:
        """Return the station's end: what was handed out and is not done comes again."""
        return Mailbox(self._world, self._station, *reversed(self._boxes))

    @property
    def waits_for_station(self) -> int:
        """How many letters lie there for the station."""
        return len(self._boxes[0].letters)
