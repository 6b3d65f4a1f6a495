"""What a lane is named by: `folder:PATH`, `kafka://BROKER/PREFIX`, `https://HOST:PORT`.

A scheme is a row here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from proxy.errors import UsageError
from proxy.lanes.letters.keys import STATION_NAME, Pairing
from proxy.lanes.mailboxes.folder import FolderMailbox
from proxy.lanes.mailboxes.kafka import KafkaMailbox
from proxy.lanes.mailboxes.mailbox import Mailbox


def _https(url: str, station: str, at_station: bool, keys: Pairing | None) -> Mailbox:
    from proxy.lanes.mailboxes.https import https_mailbox  # noqa: PLC0415 - takes 0.1 s

    return https_mailbox(url, station, at_station, keys)


# Each makes one end's mailbox of what follows the colon, a station, whether it is at the station,
# and the keys. What only some schemes need is imported when one is made.
_SCHEMES: Mapping[str, Callable[[str, str, bool, Pairing | None], Mailbox]] = {
    "folder": lambda url, station, at_station, _: FolderMailbox(url, station, at_station),
    "kafka": lambda url, station, at_station, _: KafkaMailbox(url, station, at_station),
    "https": _https,
}


def starting_at(folder: Path, lane: str) -> str:
    """Return a lane's URL; a path on this machine that is relative starts at a folder."""
    scheme, _, path = lane.partition(":")
    if scheme != "folder" or not path or "://" in path or path.startswith("~"):
        return lane
    return f"{scheme}:{folder / path}"


def open_mailbox(lane: str, station: str, at_station: bool, keys: Pairing | None = None) -> Mailbox:
    """Return one end's mailbox; nothing is called yet.

    Parameters
    ----------
    lane : str
        The lane's URL.
    station : str
        The station at its end.
    at_station : bool
        Whether this is the station's side.
    keys : Pairing | None
        What letters are sealed with; None if they are not.

    Raises
    ------
    UsageError
        If there is no such lane, the station cannot have that name, a package is missing, or the
        central cannot listen where its stations shall call.
    """
    if not STATION_NAME.fullmatch(station):
        raise UsageError(
            f"A station on a lane cannot have the name {station[:100]!r}.",
            "Give it one of 1 to 64 letters, digits, hyphens and underscores.",
        )
    scheme, _, rest = lane.partition(":")
    if scheme not in _SCHEMES or not rest:
        raise UsageError(
            f"{lane!r} is not a lane.",
            f"A lane begins with one of: {', '.join(f'{known}:' for known in _SCHEMES)}",
        )
    return _SCHEMES[scheme](rest, station, at_station, keys)
