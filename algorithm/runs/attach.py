"""Stations as SuperNodes of a SuperLink that is running already."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from algorithm.monitoring.feed import Feed
from algorithm.runs.stations import Stations
from proxy.central.central_proxy import CentralProxy
from proxy.central.report import Observer
from proxy.journal.journal import Journal
from proxy.transport.connect import connect
from proxy.transport.identity import Identity, has_key, key_paths, make_keys


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
        An existing folder for all that is written, unless there is a journal: then it is in that.
    observer : Observer
        Hears of every message.
    feed : Feed
        Tells what happens to the messages.
    access : Access
        How the SuperLink lets SuperNodes in.
    journal : Journal | None
        Where a later process finds what was under way. Then the stations' keys are in it, unless
        `access` names others.
    linger : float
        Seconds for which the SuperNodes stay after the last reply; see `CentralProxy`.

    Attributes
    ----------
    carrier : Carrier
        Reaches the stations.
    folder : Path
        Where all that is written is, logs too.

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
        journal: Journal | None = None,
        linger: float = 0.0,
    ) -> None:
        if journal is not None and not journal.is_run:
            # What stations on this machine promised is in their folders.
            folder = journal.work
        self.folder = folder
        self.carrier = stations.carrier(folder)
        with ExitStack() as stack:
            stack.callback(self.carrier.close)
            identities = _identities(self.carrier.stations, access, journal)
            for identity in identities.values():
                stack.callback(identity.close)
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
                journal=journal,
                linger=linger,
            )
            stack.callback(central.stop)
            central.start()
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Take the SuperNodes off the SuperLink and end all that runs for them."""
        self._closing.close()


def _identities(
    stations: Sequence[str], access: Access, journal: Journal | None
) -> dict[str, Identity]:
    """Return the keys under which stations are SuperNodes, where they are the same as before."""
    if access.keys is not None:
        paths = key_paths(access.keys, stations)
        return {name: Identity(path) for name, path in zip(stations, paths, strict=True)}
    if journal is None or journal.is_run:
        return {}
    folder = journal.folder / "keys"
    paths = key_paths(folder, stations)
    make_keys(folder, [n for n, path in zip(stations, paths, strict=True) if not has_key(path)])
    return {name: Identity(path, joins=True) for name, path in zip(stations, paths, strict=True)}
