"""A delivery's surroundings: its station, and the terms that all deliveries share."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from proxy.carriers import Carrier
from proxy.central.fabs import Fabs
from proxy.central.memory import FORGETFUL, Memory
from proxy.central.steps import Steps
from proxy.clock import SYSTEM_CLOCK, Clock
from proxy.transport.link import Link


@dataclass
class Held:
    """What a station is known to hold, from its answers.

    Attributes
    ----------
    generation : str
        The name of its cache; empty if the cache has none, and nothing is known then.
    objects : set[str]
        The ids of the objects in that cache.
    supernode_life : str
        The name of its warm SuperNode's life; empty if there was none.
    """

    generation: str = ""
    objects: set[str] = field(default_factory=set)
    supernode_life: str = ""

    def in_cache(self, generation: str) -> None:
        """Note the cache that the station has now."""
        if generation != self.generation:
            self.generation, self.objects = generation, set()

    def lost_state(self, supernode_life: str) -> bool:
        """Note the SuperNode's life; returns whether it is another one than before."""
        lost = self.supernode_life not in ("", supernode_life)
        self.supernode_life = supernode_life
        return lost


@dataclass(frozen=True)
class Station:
    """A station, and how it is reached from both sides.

    Attributes
    ----------
    name : str
        The carrier's name for it.
    superlink : Link
        The connection of its virtual SuperNode.
    carrier : Carrier
        Reaches it.
    folder : Path
        An empty folder for bundles on their way.
    held : Held
        What it holds.
    """

    name: str
    superlink: Link
    carrier: Carrier
    folder: Path
    held: Held = field(default_factory=Held)


@dataclass(frozen=True)
class Terms:
    """What is the same for all deliveries.

    Attributes
    ----------
    seconds : float
        What a station may take for a message; the message's time to live may be less.
    stop : threading.Event
        Set when the bridge is stopped.
    clock : Clock
        Tells the time, and waits.
    fabs : Fabs
        The apps of the runs.
    steps : Steps
        Numbers the messages.
    memory : Memory
        Knows what was under way when an earlier central ended.
    """

    seconds: float
    stop: threading.Event
    clock: Clock = SYSTEM_CLOCK
    fabs: Fabs = field(default_factory=Fabs)
    steps: Steps = field(default_factory=Steps)
    memory: Memory = FORGETFUL
