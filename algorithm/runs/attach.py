"""Stations as SuperNodes of a SuperLink that is running already."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from algorithm.monitoring.feed import Feed
from algorithm.runs.stations import Stations
from proxy.central.central_proxy import CentralProxy
from proxy.central.report import Observer
from proxy.transport.connect import connect
from proxy.transport.identity import Identity, key_paths


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
    stations : Stations
        The stations.
    superlink : str
        The address (HOST:PORT) of the SuperLink's Fleet API.
    folder : Path
        An existing folder for all that is written.
    observer : Observer
        Hears of every message.
    feed : Feed
        Tells what happens to the messages.
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
        stations: Stations,
        superlink: str,
        folder: Path,
        observer: Observer,
        feed: Feed,
        access: Access = ANYBODY,
    ) -> None:
        self.carrier = stations.carrier(folder)
        with ExitStack() as stack:
            stack.callback(self.carrier.close)
            identities: dict[str, Identity] = {}
            if access.keys is not None:
                names = self.carrier.stations
                for station, key in zip(names, key_paths(access.keys, names), strict=True):
                    identities[station] = Identity(key)
                    stack.callback(identities[station].close)
            central = CentralProxy(
                lambda station: connect(
                    superlink, access.root_certificates, stations.release, identities.get(station)
                ),
                self.carrier,
                folder,
                stations.deadline,
                observer,
                identities,
                listeners=[feed.trace],
            )
            stack.callback(central.stop)
            central.start()
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Take the SuperNodes off the SuperLink and end all that runs for them."""
        self._closing.close()
