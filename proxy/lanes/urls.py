"""What a lane is named by: `folder:PATH`, `kafka://BROKER/PREFIX`. A scheme is a row here."""

from collections.abc import Callable, Mapping

from proxy.errors import UsageError
from proxy.lanes.folder import FolderMailbox
from proxy.lanes.kafka import KafkaMailbox
from proxy.lanes.keys import STATION_NAME
from proxy.lanes.mailbox import Mailbox

# Each makes one end's mailbox of what follows the colon, a station, and whether it is at the
# station. What only some schemes need is imported when one is made.
_SCHEMES: Mapping[str, Callable[[str, str, bool], Mailbox]] = {
    "folder": FolderMailbox,
    "kafka": KafkaMailbox,
}


def open_mailbox(lane: str, station: str, at_station: bool) -> Mailbox:
    """Return one end's mailbox; nothing is called yet.

    Parameters
    ----------
    lane : str
        The lane's URL.
    station : str
        The station at its end.
    at_station : bool
        Whether this is the station's side.

    Raises
    ------
    UsageError
        If there is no such lane, the station cannot have that name, or a package is missing.
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
            f"A lane begins with one of: {', '.join(f'{each}:' for each in _SCHEMES)}",
        )
    return _SCHEMES[scheme](rest, station, at_station)
