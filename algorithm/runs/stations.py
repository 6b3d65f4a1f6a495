"""The stations of a run, and how they are reached: on this machine, or in vantage6."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from algorithm.flower.environment import ENVIRONMENT_VARIABLE, Flower
from algorithm.flower.node_config import pairs_of, parsed
from proxy.calls import DEFAULT_MODE, LONGEST_SECONDS, Mode, Settings
from proxy.carriers import Carrier
from proxy.carriers.local import LocalStarter
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.errors import UsageError
from proxy.platforms import Creator
from proxy.system.environment import for_functions
from proxy.vantage6.server import Organization, Server

# The program that a container would run; -E and -P keep the user's folders off its import path.
_PROGRAM = (sys.executable, "-E", "-P", "-m", "algorithm")


class Stations(Protocol):
    """Stations that can be made SuperNodes."""

    @property
    def names(self) -> Sequence[str]:
        """Their names, in a fixed order."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds that a station may take for a message."""
        ...

    @property
    def release(self) -> str:
        """The stations' Flower release; empty if it is not known."""
        ...

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier that reaches them, with an existing folder for all that it writes."""
        ...


@dataclass(frozen=True)
class LocalStation:
    """A station on this machine: its name, and its SuperNode's `--node-config`."""

    name: str
    node_config: str


@dataclass(frozen=True)
class LocalStations:
    """Implements `Stations` with processes on this machine.

    Attributes
    ----------
    stations : Sequence[LocalStation]
        The stations.
    flower : Flower
        The environment that SuperNodes are started from.
    deadline : float
        Seconds that a station may take for a message.
    warm : bool
        Whether SuperNodes are kept warm.
    mode : Mode
        How the app runs.
    """

    stations: Sequence[LocalStation]
    flower: Flower
    deadline: float
    warm: bool
    mode: Mode = DEFAULT_MODE

    @property
    def names(self) -> Sequence[str]:
        """The stations' names."""
        return [station.name for station in self.stations]

    @property
    def release(self) -> str:
        """The Flower release."""
        return self.flower.release

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier to them; see `Stations.carrier`."""
        environment = for_functions(os.environ)
        environment[ENVIRONMENT_VARIABLE] = str(self.flower.folder)
        starter = LocalStarter(self.names, _PROGRAM, environment, folder)
        settings = {each.name: Settings(each.node_config, self.mode) for each in self.stations}
        # The carrier ends its hosts itself.
        return TaskCarrier(starter, settings, LONGEST_SECONDS if self.warm else None)


@dataclass(frozen=True)
class Organizations:
    """Implements `Stations` with tasks for the organizations of a vantage6 collaboration.

    Attributes
    ----------
    server : Server
        Where the tasks are created.
    organizations : Sequence[Organization]
        The stations; their node configs differ in the number of the partition only.
    members : Mapping[str, Any]
        What all tasks have in common; see `Vantage6Starter`.
    creator : Creator
        What whoever creates the tasks is allowed.
    deadline : float
        Seconds that a station may take for a message.
    release : str
        The stations' Flower release; empty if it is not known.
    mode : Mode
        How the app runs.
    idle_limit : float | None
        Seconds without a message after which a warm SuperNode ends; None to keep none warm.
    job : str | None
        Names the job where the platform makes none of the tasks.
    """

    server: Server
    organizations: Sequence[Organization]
    members: Mapping[str, Any]
    creator: Creator
    deadline: float
    release: str = ""
    mode: Mode = DEFAULT_MODE
    idle_limit: float | None = None
    job: str | None = None

    @property
    def names(self) -> Sequence[str]:
        """The organizations' names."""
        return [organization.name for organization in self.organizations]

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier to them; see `Stations.carrier`."""
        starter = Vantage6Starter(
            self.server,
            self.organizations,
            self.members,
            folder,
            self.creator,
            self.job,
        )
        count = len(self.organizations)
        settings = {
            name: Settings(f"partition-id={index} num-partitions={count}", self.mode)
            for index, name in enumerate(self.names)
        }
        return TaskCarrier(starter, settings, self.idle_limit)


def local_stations(number: int, node_configs: Sequence[str]) -> list[LocalStation]:
    """Return stations named station-1, station-2 and so on.

    Parameters
    ----------
    number : int
        How many.
    node_configs : Sequence[str]
        One for each, or none at all; `partition-id` and `num-partitions` are added if missing.

    Raises
    ------
    UsageError
        If there are not as many configs as stations, or one has a syntax error.
    """
    if node_configs and len(node_configs) != number:
        raise UsageError(
            f"There are {number} stations but {len(node_configs)} node configs.",
            "Give --node-config once for each station, or not at all.",
        )
    stations = []
    for index, config in enumerate(map(pairs_of, node_configs or [""] * number)):
        given = parsed(config, "node config")
        added = {"partition-id": index, "num-partitions": number}
        pairs = [config] if config else []
        pairs += [f"{key}={value}" for key, value in added.items() if key not in given]
        stations.append(LocalStation(f"station-{index + 1}", " ".join(pairs)))
    return stations
