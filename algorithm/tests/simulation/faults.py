"""What goes wrong in a schedule, and when: the seed's choice.

There are schedules without any fault, schedules with such as cost nothing but time, and schedules
with all. After a while nothing goes wrong any more, so that what was begun can come to its end.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Self

# Nothing goes wrong later than this many seconds after the start.
TROUBLED_SECONDS = 100.0


@dataclass
class Faults:
    """How often each thing goes wrong.

    Attributes
    ----------
    harsh : bool
        Whether a message may be lost by what goes wrong; an error reply is then in order.
    lost, repeated, late : float
        How often a call or a letter is lost, or its answer; is delivered twice; comes late.
    dropped : float
        How often a lane loses a letter for good.
    killed : float
        How often a process dies before its end.
    powerless : float
        How many of those deaths are a power cut of the whole machine.
    kills : int
        How many there may be.
    hangs, dies : float
        How often a ClientApp never answers; ends without an answer.
    away : list[tuple[str, float, float]]
        What is out of reach, from when until when: "superlink", or a station's lane.
    full : list[tuple[str, float, float]]
        Which machine's disk has no room, from when until when.
    jumps : list[tuple[str, float, float]]
        Which machine's clock is set, when, and by how many seconds.
    forgets : list[float]
        When the SuperLink forgets all nodes.
    stops : list[float]
        When the central is stopped, and started again.
    ends_at : float
        When all faults end and the central is stopped for good, whatever is under way.
    """

    harsh: bool = False
    lost: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    dropped: float = 0.0
    killed: float = 0.0
    powerless: float = 0.0
    kills: int = 0
    hangs: float = 0.0
    dies: float = 0.0
    away: list[tuple[str, float, float]] = field(default_factory=list)
    full: list[tuple[str, float, float]] = field(default_factory=list)
    jumps: list[tuple[str, float, float]] = field(default_factory=list)
    forgets: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    ends_at: float = float("inf")

    @classmethod
    def chosen(cls, chance: Random, stations: list[str], may_forget: bool) -> Self:
        """Return what goes wrong in one schedule.

        Parameters
        ----------
        chance : Random
            Chooses.
        stations : list[str]
            Their names.
        may_forget : bool
            Whether the SuperLink may forget its nodes: one that was told of them does not.
        """
        made = cls()
        if chance.random() < 0.1:
            made.ends_at = chance.uniform(3, 30)
        if chance.random() < 0.05:
            return made
        made.lost, made.repeated, made.late = (chance.choice([0.0, 0.05, 0.2]) for _ in range(3))
        for place in ("superlink", *stations):
            if chance.random() < 0.3:
                start = chance.uniform(0, TROUBLED_SECONDS)
                made.away.append((place, start, start + chance.uniform(1, 15)))
        if chance.random() < 0.75:
            made._add_harsh(chance, stations, may_forget)
        return made

    def _add_harsh(self, chance: Random, stations: list[str], may_forget: bool) -> None:
        """Add what may cost a message its reply."""

        def when() -> float:
            return chance.uniform(0, TROUBLED_SECONDS)

        self.harsh = True
        if chance.random() < 0.7:
            self.killed, self.kills = chance.choice([0.2, 0.6]), chance.randint(1, 4)
            self.powerless = chance.choice([0.0, 0.5, 1.0])
        if chance.random() < 0.2:
            self.dropped = chance.choice([0.02, 0.1])
        if chance.random() < 0.2:
            self.hangs, self.dies = chance.choice([0.0, 0.3]), chance.choice([0.0, 0.3])
        for machine in ("central", *stations):
            if chance.random() < 0.15:
                start = when()
                self.full.append((machine, start, start + chance.uniform(1, 60)))
            if chance.random() < 0.1:
                self.jumps.append((machine, when(), chance.choice([-4000.0, -20.0, 20.0, 4000.0])))
        for place in ("superlink", *stations):
            if chance.random() < 0.1:
                start = when()
                self.away.append((place, start, start + chance.uniform(15, 80)))
        if may_forget and chance.random() < 0.1:
            self.forgets.append(when())
        if chance.random() < 0.2:
            self.stops.append(when())
