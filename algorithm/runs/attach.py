"""Stations as SuperNodes of a SuperLink that is running already."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from algorithm.flower.environment import ENVIRONMENT_VARIABLE, Flower
from algorithm.flower.node_config import pairs_of, parsed
from proxy.calls import DEFAULT_MODE, LONGEST_SECONDS, Mode, Settings
from proxy.carriers import Carrier
from proxy.carriers.local import LocalStarter
from proxy.carriers.tasks import TaskCarrier
from proxy.central.central_proxy import CentralProxy
from proxy.central.report import Observer
from proxy.errors import UsageError
from proxy.system.environment import PASSWORD_VARIABLE
from proxy.transport.connect import connect
from proxy.transport.identity import Identity, key_paths

# The program that a container would run; -E and -P keep the user's folders off its import path.
_PROGRAM = (sys.executable, "-E", "-P", "-m", "algorithm")


@dataclass(frozen=True)
class Attachment:
    """What to attach to a SuperLink.

    Attributes
    ----------
    carrier : Callable[[Path], Carrier]
        Makes the carrier that reaches the stations, with a folder for all that it writes.
    deadline : float
        Seconds that a station may take for a message.
    release : str
        The stations' Flower release; empty if it is not known.
    """

    carrier: Callable[[Path], Carrier]
    deadline: float
    release: str = ""


@dataclass(frozen=True)
class Access:
    """How a SuperLink lets SuperNodes in; by default without TLS, and whoever comes.

    Attributes
    ----------
    root_certificates : Path | None
        A file with the certificates (PEM) that the SuperLink's is checked against.
    keys : Path | None
        A folder with the keys of the stations, which the SuperLink was told of: see
        `proxy.transport.identity`.
    """

    root_certificates: Path | None = None
    keys: Path | None = None


ANYBODY = Access()


class Attached:
    """Stations that are SuperNodes of a SuperLink, until closed.

    Parameters
    ----------
    what : Attachment
        The stations.
    superlink : str
        The address (HOST:PORT) of the SuperLink's Fleet API.
    folder : Path
        An existing folder for all that is written.
    observer : Observer
        Hears of every message.
    access : Access
        How the SuperLink lets SuperNodes in.

    Raises
    ------
    FleetError
        If the SuperLink does not answer or refuses.
    CarrierError
        If a station cannot be made ready.
    UsageError
        If a key or the certificates cannot be used.
    """

    def __init__(
        self,
        what: Attachment,
        superlink: str,
        folder: Path,
        observer: Observer,
        access: Access = ANYBODY,
    ) -> None:
        self.carrier = what.carrier(folder)
        with ExitStack() as stack:
            stack.callback(self.carrier.close)
            identities: dict[str, Identity] = {}
            if access.keys is not None:
                stations = self.carrier.stations
                for station, key in zip(stations, key_paths(access.keys, stations), strict=True):
                    identities[station] = Identity(key)
                    stack.callback(identities[station].close)
            central = CentralProxy(
                lambda station: connect(
                    superlink, access.root_certificates, what.release, identities.get(station)
                ),
                self.carrier,
                folder,
                what.deadline,
                observer,
                identities,
            )
            stack.callback(central.stop)
            central.start()
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Take the SuperNodes off the SuperLink and end all that runs for them."""
        self._closing.close()


@dataclass(frozen=True)
class LocalStation:
    """A station on this machine: its name, and its SuperNode's `--node-config`."""

    name: str
    node_config: str


def local_carrier(
    stations: Sequence[LocalStation], flower: Flower, warm: bool, mode: Mode = DEFAULT_MODE
) -> Callable[[Path], Carrier]:
    """Return what makes a carrier to stations on this machine.

    Parameters
    ----------
    stations : Sequence[LocalStation]
        The stations.
    flower : Flower
        The environment that SuperNodes are started from.
    warm : bool
        Whether SuperNodes are kept warm.
    mode : Mode
        How the app runs.
    """
    environment = {**os.environ, ENVIRONMENT_VARIABLE: str(flower.folder)}
    environment.pop(PASSWORD_VARIABLE, None)
    settings = {each.name: Settings(each.node_config, mode) for each in stations}
    # The carrier ends its hosts itself.
    idle_limit = LONGEST_SECONDS if warm else None
    return lambda folder: TaskCarrier(
        LocalStarter(list(settings), _PROGRAM, environment, folder), settings, idle_limit
    )


def partitions(stations: Sequence[str], mode: Mode) -> dict[str, Settings]:
    """Return the settings of stations that differ in the number of their partition only."""
    count = len(stations)
    return {
        name: Settings(f"partition-id={index} num-partitions={count}", mode)
        for index, name in enumerate(stations)
    }


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
