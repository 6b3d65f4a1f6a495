"""The stations of a run, and how they are reached on this machine."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from algorithm.flower.environment import ENVIRONMENT_VARIABLE, Flower
from algorithm.flower.node_config import STATION_NAME, pairs, pairs_of, parsed
from proxy.calls import DEFAULT_MODE, LONGEST_SECONDS, Mode, Settings
from proxy.carriers import Carrier
from proxy.carriers.local import LocalStarter
from proxy.carriers.tasks import TaskCarrier
from proxy.errors import UsageError
from proxy.system.environment import for_functions

# The program that a container would run; -E and -P keep the user's folders off its import path.
_PROGRAM = (sys.executable, "-E", "-P", "-m", "algorithm")
# Names of folders, beside those of the central (`proxy/central/central_proxy.py`).
_NAME = re.compile(r"(?!central-\d+$)\w[\w .+@()'&,-]{0,63}")


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

    @property
    def node_configs(self) -> Sequence[str]:
        """Their SuperNodes' `--node-config`; empty if they have their own."""
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

    @property
    def node_configs(self) -> Sequence[str]:
        """The stations' node configs."""
        return [station.node_config for station in self.stations]

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier to them; see `Stations.carrier`."""
        environment = for_functions(os.environ)
        environment[ENVIRONMENT_VARIABLE] = str(self.flower.folder)
        starter = LocalStarter(self.names, _PROGRAM, environment, folder)
        settings = {
            station.name: Settings(station.node_config, self.mode) for station in self.stations
        }
        # The carrier ends its hosts itself.
        return TaskCarrier(starter, settings, LONGEST_SECONDS if self.warm else None)


def local_stations(number: int, node_configs: Sequence[str]) -> list[LocalStation]:
    """Return the stations, named station-1, station-2 and so on where their config names none.

    Parameters
    ----------
    number : int
        How many.
    node_configs : Sequence[str]
        One for each, or none at all; `station-name`, `partition-id` and `num-partitions` are added
        if missing.

    Raises
    ------
    UsageError
        If there are not as many configs as stations, one has a syntax error, or a name cannot be
        used.
    """
    if node_configs and len(node_configs) != number:
        raise UsageError(
            f"There are {number} stations but {len(node_configs)} node configs.",
            f"Give --node-config once for each station, or say --stations {len(node_configs)}.",
        )
    stations: dict[str, LocalStation] = {}
    for index, config in enumerate(map(pairs_of, node_configs or [""] * number)):
        given = parsed(config, "node config")
        standard: dict[str, str | int] = {
            STATION_NAME: f"station-{index + 1}",
            "partition-id": index,
            "num-partitions": number,
        }
        name = given.get(STATION_NAME, standard[STATION_NAME])
        _check_name(name)
        if name in stations:
            raise UsageError(
                f"Two stations have the name {name!r}.",
                f"Give each --node-config another {STATION_NAME}.",
            )
        added = pairs({key: value for key, value in standard.items() if key not in given})
        stations[name] = LocalStation(name, f"{config} {added}".strip())
    return list(stations.values())


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"A station cannot have the name {name!r}.",
            "A name has up to 64 letters, digits, spaces and .+@()'&,-_ and begins with a letter"
            " or a digit.",
        )
