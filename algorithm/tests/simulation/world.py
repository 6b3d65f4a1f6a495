"""What all parts of a simulation share: time, disk, faults, and what really happened."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Self

from algorithm.tests.simulation.disk import Disk
from algorithm.tests.simulation.faults import TROUBLED_SECONDS, Faults
from algorithm.tests.simulation.scheduler import Machine, Process, Scheduler
from algorithm.tests.simulation.seams import EPOCH
from proxy.fleet.messages import Reply

if TYPE_CHECKING:
    from algorithm.tests.simulation.parts import SimulatedFunction
    from algorithm.tests.simulation.superlink import SimulatedSuperLink

# Of simulated time: all that a run may take.
MOST_SECONDS = 5_000.0
_STARTED = 1000.0
# So long something that went wrong may cost a message: until whatever was killed is back.
_COSTS_SECONDS = 150.0
# A process lives this many seams, about, until it has done its work.
_SEAMS = 900
_BACK_SECONDS = (0.5, 40.0)
# Of what is out of reach for longer a message may expire.
COSTLY_SECONDS = 15.0


@dataclass(frozen=True)
class Plan:
    """How the parts are put together in a schedule.

    Attributes
    ----------
    stations : list[str]
        Their names.
    rounds : int
        How many the ServerApp has.
    lanes : bool
        Whether stations stay, on lanes; or functions are started for each message.
    warm : bool
        Whether runtimes are kept for the next message.
    keys : bool
        Whether the SuperLink was told of the SuperNodes beforehand.
    journal : bool
        Whether the central keeps a journal.
    runs : bool
        Whether the central is `flower-v6 run`: SuperLink and ServerApp end and begin with it.
    repeats : bool
        Whether the SuperLink is of flwr 1.43, and hands out a message until it is confirmed.
    """

    stations: list[str]
    rounds: int
    lanes: bool
    warm: bool
    keys: bool
    journal: bool
    runs: bool
    repeats: bool

    @classmethod
    def chosen(cls, chance: Random) -> Self:
        """Return one schedule's."""
        runs = chance.random() < 0.3
        return cls(
            stations=["north", "south"][: chance.choice([1, 2, 2])],
            rounds=chance.choice([1, 2, 2]),
            lanes=chance.random() < 0.6,
            warm=chance.random() < 0.7,
            keys=not runs and chance.random() < 0.5,
            journal=runs or chance.random() < 0.6,
            runs=runs,
            repeats=chance.random() < 0.3,
        )


class Truth:
    """What happened, as nobody in the simulation knows it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.sent: dict[str, float] = {}
        self.trained: dict[str, str] = {}
        self.training: set[str] = set()
        self.cut_off: set[tuple[Process, str]] = set()
        self.replies: dict[str, dict[str, Process | None]] = {}
        self.pulled_by: dict[str, Process] = {}
        self.pulled_at_the_end: set[str] = set()
        self.answered: set[tuple[int, str, str]] = set()

    def pulled(self, message_id: str) -> None:
        """The SuperLink hands out a message."""
        self._world.scheduler.tell(f"pulls message {message_id:.6}")
        process = self._world.scheduler.process
        assert process is not None
        self.pulled_by[message_id] = process
        if self._world.leaving:
            self.pulled_at_the_end.add(message_id)

    def begins(self, message_id: str, station: str, content: str) -> None:
        """A ClientApp gets a message."""
        world = self._world
        world.scheduler.tell(f"trains message {message_id:.6}")
        if message_id in self.trained:
            raise_soon(world, f"message {message_id:.6} is trained twice, at {station}")
        # A ServerApp that was started again says the same in messages of other ids.
        said = world.run_number, station, content
        if world.plan.runs and said in self.answered and not world.costly:
            raise_soon(world, f"message {message_id:.6} is trained again, at {station}")
        self.trained[message_id] = station
        self.training.add(message_id)

    def pushed(self, reply: Reply, refused: bool) -> None:
        """A reply came to the SuperLink."""
        about = reply.metadata
        message_id = about.reply_to_message_id
        what = f"error {reply.error.code}: {reply.error.reason}" if reply.error else "a reply"
        refusal = " and is refused" if refused else ""
        self._world.scheduler.tell(f"pushes to message {message_id:.6} {what}{refusal}")
        if message_id not in self.sent:
            raise_soon(self._world, f"a reply to message {message_id:.6}, which nobody sent")
        world, plan, process = self._world, self._world.plan, self._world.scheduler.process
        knows = plan.journal and not world.was_full("central")
        if refused and not knows:
            return
        before = self.replies.setdefault(message_id, {})
        # Without a journal nobody knows whether the push of a central before, which did not hear
        # so, arrived. Its successor answers again: flwr 1.43 takes that reply, too, and keeps the
        # last one. Not to answer would be worse: a message whose reply did not arrive would have
        # none until it expires. The same holds of a central that was killed without room for its
        # journal.
        may_repeat = plan.repeats and (not plan.journal or bool(world.killed and not knows))
        if any(
            each != about.message_id and not (may_repeat and pushed_by is not process)
            for each, pushed_by in before.items()
        ):
            raise_soon(world, f"message {message_id:.6} has two replies")
        before.setdefault(about.message_id, process)


def raise_soon(world: "World", text: str) -> None:
    """Note a violation; a thread of the code under test must not catch it."""
    if not world.violation:
        world.scheduler.tell(f"VIOLATION: {text}")
    world.violation = world.violation or text


@dataclass(eq=False)
class World:
    """All that the parts share.

    Attributes
    ----------
    superlink : SimulatedSuperLink
        Set by whoever builds the world; a run has one of its own each time it is started.
    run_number : int
        How often a run had to begin anew.
    violation : str
        The first that was noticed; empty if none was.
    costly, delaying : list[float]
        When something went wrong that a message may be lost by, or only come late by.
    unheard : list[float]
        When one call after the other was lost on its way to or from the SuperLink, for long.
    """

    scheduler: Scheduler
    disk: Disk
    plan: Plan
    faults: Faults
    machines: dict[str, Machine]
    superlink: "SimulatedSuperLink" = field(init=False)
    truth: Truth = field(init=False)
    violation: str = ""
    costly: list[float] = field(default_factory=list)
    delaying: list[float] = field(default_factory=list)
    unheard: list[float] = field(default_factory=list)
    kills: int = 0
    killed: int = 0
    leaving: bool = False
    run_number: int = 0
    calm: bool = False
    fate: Process = field(default_factory=lambda: Process("fate", Machine("fate")))
    processes: list[Process] = field(default_factory=list)
    functions: list[Process] = field(default_factory=list)
    tasks: dict[str, "SimulatedFunction"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.truth = Truth(self)

    @property
    def now(self) -> float:
        """The time that has really passed."""
        return self.scheduler.now

    @property
    def troubled(self) -> bool:
        """Whether anything may go wrong now."""
        return not self.calm and self.now < _STARTED + TROUBLED_SECONDS

    def true_time(self) -> float:
        """The time since the epoch, by the SuperLink's clock, which is right."""
        return EPOCH + self.now

    def is_away(self, place: str) -> bool:
        """Whether something is out of reach now."""
        if self.calm or not self.faults.away:
            return False
        return any(
            name == place and start <= self.now - _STARTED < end
            for name, start, end in self.faults.away
        )

    def calm_down(self) -> None:
        """Let nothing go wrong any more."""
        self.calm = True
        self.disk.full.clear()
        for machine in self.machines.values():
            machine.ahead = 0.0
        for process in self.processes:
            process.dies_at = 0

    def cost(self, what: str) -> None:
        """Something goes wrong that a message may be lost by."""
        self.scheduler.tell(f"trouble: {what}")
        self.costly.append(self.now)

    def was_full(self, machine: str) -> bool:
        """Whether a machine's disk was full at any time until now."""
        return any(name == machine and start <= self.now for name, start, _ in self.faults.full)

    def may_have_cost(self, since: float, waiting: bool = False) -> bool:
        """Whether something went wrong that a message of that time may be lost by.

        Parameters
        ----------
        since : float
            That time.
        waiting : bool
            Whether the SuperLink gave up waiting: then the central may just have been away.
        """
        causes = self.costly + (self.delaying if waiting else [])
        return any(each > since - _COSTS_SECONDS for each in causes) or any(
            end - start > COSTLY_SECONDS for _, start, end in self.faults.away
        )

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something happen, so many seconds after the start."""

        def later() -> None:
            self.scheduler.sleep(_STARTED + when - self.now)
            if not self.calm:
                action()

        self.scheduler.start(self.fate, later, "fate")

    def process(self, name: str, machine: str, mortal: bool = True) -> Process:
        """Return a new process, which may be bound to die."""
        made = Process(name, self.machines[machine])
        faults, chance = self.faults, self.scheduler.chance
        if (
            mortal
            and not self.calm
            and self.kills < faults.kills
            and chance.random() < faults.killed
        ):
            self.kills += 1
            made.bound_to_die = True
            made.dies_at = 1 + int(chance.random() ** 2 * _SEAMS)
        self.processes.append(made)
        return made

    def keep_running(
        self,
        name: str,
        machine: str,
        main: Callable[[], None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Have a process run, and start it again whenever it has ended; as systemd does."""

        def start() -> None:
            process = self.process(name, machine)
            process.at_end.append(lambda: self.scheduler.start(self.fate, again, f"{name} again"))

            def work() -> None:
                main()
                self.scheduler.exit(process)

            self.scheduler.start(process, work, "main")

        def again() -> None:
            pause = self.scheduler.chance.uniform(*_BACK_SECONDS)
            self.scheduler.sleep(min(pause, 2.0) if self.calm else pause)
            if wanted():
                start()

        start()

    def dies(self, process: Process) -> None:
        """A process is killed: what it wrote is there in part, and if the power is cut, less."""
        self.disk.killed(process)
        if not process.bound_to_die:
            return
        self.killed += 1
        if process.name == "central" and self.plan.journal:
            self.delaying.append(self.now)
        else:
            self.cost(f"{process.name} is killed")
        if self.scheduler.chance.random() < self.faults.powerless:
            machine = process.machine
            self.scheduler.tell(f"the power of {machine.name} is cut")
            for other in [*self.processes]:
                if other is not process and other.machine is machine and other.alive:
                    self.disk.killed(other)
                    self.scheduler.exit(other)
            self.disk.cut_power(machine)

    def go_wrong(self, stop_central: Callable[[], None]) -> None:
        """Have happen what goes wrong at a certain time."""

        def fill(name: str) -> None:
            self.cost(f"the disk of {name} is full")
            self.disk.full.add(self.machines[name])

        def empty(name: str) -> None:
            self.cost(f"the disk of {name} has room again")
            self.disk.full.discard(self.machines[name])

        def jump(name: str, seconds: float) -> None:
            self.cost(f"the clock of {name} is set by {seconds} s")
            self.machines[name].ahead += seconds

        def forget() -> None:
            self.cost("the SuperLink forgets all nodes")
            self.superlink.forget_nodes()

        def stop() -> None:
            if not self.plan.runs:  # it answers its messages; a run that goes on has them answered
                self.cost("the central is stopped")
            stop_central()

        for name, start, end in self.faults.full:
            self.at(start, partial(fill, name))
            self.at(end, partial(empty, name))
        for name, when, seconds in self.faults.jumps:
            self.at(when, partial(jump, name, seconds))
            self.at(TROUBLED_SECONDS, partial(jump, name, -seconds))
        for when in self.faults.forgets:
            self.at(when, forget)
        for when in self.faults.stops:
            self.at(when, stop)
