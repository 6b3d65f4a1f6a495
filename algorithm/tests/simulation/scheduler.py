"""Threads that run one at a time, in an order that a seed chooses, on a clock of their own.

The code under test keeps its threads, locks, events and queues; `seams` has them made
here. A thread is a greenlet: it runs until it waits, or comes to a seam where the seed lets another
one go on. Time passes only when all of them wait.

A process is some threads and what they hold. A killed one simply never goes on: no `finally` of it
is run, as none is by SIGKILL.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

# How often a thread that could go on gives way.
_GIVES_WAY = 0.1


class Stuck(Exception):
    """Nobody can ever go on, or not within the time that all should have taken."""


@dataclass(eq=False)
class Machine:
    """What a power cut hits at once.

    Attributes
    ----------
    name : str
        Its name, and that of its folder.
    ahead : float
        By how many seconds its clock is wrong.
    """

    name: str
    ahead: float = 0.0


@dataclass(eq=False)
class Process:
    """Some threads that die together.

    Attributes
    ----------
    name : str
        For people.
    machine : Machine
        Where it runs.
    dies_at : int
        The seam at which it is killed, counted from its start; 0 for never.
    at_end : list[Callable[[], object]]
        What the system does when it has ended, however.
    """

    name: str
    machine: Machine
    dies_at: int = 0
    bound_to_die: bool = False
    seams: int = 0
    alive: bool = True
    threads: list["Thread"] = field(default_factory=list)
    at_end: list[Callable[[], object]] = field(default_factory=list)


class Scheduler:
    """Runs threads of processes.

    Parameters
    ----------
    seed : int
        Chooses all that is not said.
    most_seconds : float
        Of simulated time, after which all has to be over.

    Attributes
    ----------
    now : float
        Seconds that have passed.
    chance : Random
        Whatever is to be the seed's choice.
    failures : list[str]
        Exceptions that ended a thread.
    story : list[str] | None
        What happened, for people, if somebody wants to read it.
    """

    def __init__(self, seed: int, most_seconds: float) -> None:
        self.now = 1000.0
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.failures: list[str] = []
        self.story: list[str] | None = None
        self.over = False
        self.on_kill: Callable[[Process], None] = lambda _: None
        self._ends = self.now + most_seconds
        self._main = getcurrent()
        self._threads: list[Thread] = []
        self._ready: list[Thread] = []
        self._timers: list[tuple[float, int, Thread, int]] = []
        self._numbers = count(1)

    @property
    def process(self) -> Process | None:
        """The process that runs; None where the world itself does."""
        thread = getcurrent()
        return thread.process if isinstance(thread, Thread) else None

    @property
    def current(self) -> "Thread":
        """The thread that runs."""
        thread = getcurrent()
        assert isinstance(thread, Thread)
        return thread

    def tell(self, text: str) -> None:
        """Note what happened, for people."""
        if self.story is not None:
            process = self.process
            self.story.append(
                f"{self.now - 1000:9.3f} {process.name if process else '-':14} {text}"
            )

    def start(self, process: Process, target: Callable[[], object], name: str = "") -> "Thread":
        """Start a thread."""
        thread = Thread(self, process, target, name)
        process.threads.append(thread)
        self._threads.append(thread)
        self._ready.append(thread)
        return thread

    def run(self, until: Callable[[], bool]) -> None:
        """Let threads run until something holds; raises `Stuck` if it never will."""
        while not until():
            if self._ready:
                place = int(self.chance.random() * len(self._ready))
                thread = self._ready[place]
                self._ready[place] = self._ready[-1]
                self._ready.pop()
            else:
                thread = self._next_due()
            if thread.process.alive:
                thread.switch()

    def _next_due(self) -> "Thread":
        while self._timers:
            at, _, thread, wait = heapq.heappop(self._timers)
            if thread.wait_number == wait and thread.process.alive:
                self.now = max(self.now, at)
                if self.now > self._ends:
                    raise Stuck("not all is over in time")
                thread.wait_number += 1
                return thread
        raise Stuck("nobody can ever go on")

    def seam(self) -> None:
        """Perhaps be killed here, or give way."""
        thread = getcurrent()
        if not isinstance(thread, Thread):
            return
        process = thread.process
        if self.over or not process.alive:
            raise GreenletExit
        process.seams += 1
        if process.seams == process.dies_at:
            self.kill(process)
        if self.chance.random() < _GIVES_WAY:
            self._ready.append(thread)
            self._main.switch()

    def wait(self, until: float | None = None) -> bool:
        """Wait to be woken; False if the time came first."""
        thread = getcurrent()
        assert isinstance(thread, Thread), "the world itself never waits"
        if self.over or not thread.process.alive:
            raise GreenletExit
        thread.woken = False
        if until is not None:
            entry = (until, next(self._numbers), thread, thread.wait_number)
            heapq.heappush(self._timers, entry)
        self._main.switch()
        return thread.woken

    def wake(self, thread: "Thread") -> None:
        """Let a thread that waits go on."""
        thread.wait_number += 1
        thread.woken = True
        self._ready.append(thread)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seam()
        self.wait(self.now + max(0.0, seconds))

    def kill(self, process: Process) -> None:
        """End a process at once; does not return if it is one's own."""
        if process.alive:
            self.tell(f"{process.name} is killed")
            self.on_kill(process)
            self._end(process)

    def exit(self, process: Process) -> None:
        """Have a process end by itself: its other threads end with it."""
        if process.alive:
            self._end(process)

    def _end(self, process: Process) -> None:
        process.alive = False
        for action in process.at_end:
            action()
        if self.process is process:
            self._main.switch()

    def close(self) -> None:
        """Be over: whoever still waits ends.

        Nobody else would end it: Python frees no greenlet that waits, and it holds all the world.
        """
        self.over = True
        for thread in self._threads:
            if thread:
                thread.throw()
        for held in (self._threads, self._ready, self._timers):
            held.clear()


class Thread(greenlet):
    """One thread, as the scheduler sees it."""

    def __init__(
        self, scheduler: Scheduler, process: Process, target: Callable[[], object], name: str
    ) -> None:
        super().__init__(self._work, scheduler._main)
        self.process = process
        self.name = name
        self.ended = False
        self.woken = False
        self.wait_number = 0
        self.number = next(scheduler._numbers)
        self.joining: list[Thread] = []
        self._scheduler = scheduler
        self._target = target

    def _work(self) -> None:
        scheduler = self._scheduler
        try:
            self._target()
        except GreenletExit:
            return
        except BaseException as error:
            if scheduler.over:  # what was ended may not like it
                return
            scheduler.failures.append(f"{self.process.name}/{self.name}: {error!r}")
            if scheduler.story is not None:
                raise
        self.ended = True
        for waiting in self.joining:
            scheduler.wake(waiting)
        self.joining.clear()


class Lock:
    """What `threading.Lock` makes in a simulation."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._held = False
        self._waiting: list[Thread] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._held:
            self._held = True
            return True
        if not blocking:
            return False
        thread: Any = getcurrent()
        self._waiting.append(thread)
        if self._scheduler.wait(None if timeout < 0 else self._scheduler.now + timeout):
            return True
        self._waiting.remove(thread)
        return False

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        if self._waiting:
            self._scheduler.wake(self._waiting.pop(0))
        else:
            self._held = False

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    """What `threading.Event` makes in a simulation."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_set = False
        self._waiting: list[Thread] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for thread in self._waiting:
            self._scheduler.wake(thread)
        self._waiting.clear()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_set or (timeout is not None and timeout <= 0):
            return self._is_set
        thread = self._scheduler.current
        self._waiting.append(thread)
        if not self._scheduler.wait(None if timeout is None else self._scheduler.now + timeout):
            self._waiting.remove(thread)
            return False
        return True
