"""Stations that stay, as a run reaches them: each on its lane."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from proxy.calls import DEFAULT_MODE, Mode
from proxy.carriers import Carrier
from proxy.errors import UsageError
from proxy.lanes.lane import End, LaneCarrier
from proxy.lanes.letters.keys import KeyPair, Pairing, PublicKeys
from proxy.lanes.letters.sealing import seal_with
from proxy.lanes.urls import open_mailbox

CENTRAL_KEY = "central"


@dataclass(frozen=True)
class LaneStations:
    """Implements `algorithm.runs.stations.Stations` with resident stations.

    Attributes
    ----------
    lanes : Mapping[str, str]
        The URL of each station's lane.
    keys : Path | None
        The folder with the central's private key, `central`, and `NAME.pub` of each station; None
        if letters are not sealed.
    deadline : float
        Seconds that a station may take for a message.
    mode : Mode
        How the app runs.
    """

    lanes: Mapping[str, str]
    keys: Path | None
    deadline: float
    mode: Mode = DEFAULT_MODE
    # A station's own business.
    release: str = ""
    node_configs: Sequence[str] = ()

    @property
    def names(self) -> Sequence[str]:
        """The stations' names."""
        return list(self.lanes)

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier to them; see `Stations.carrier`.

        Raises
        ------
        UsageError
            If a key or a lane cannot be used.
        """
        folder.mkdir(exist_ok=True)
        keys = self._keys()
        with ExitStack() as stack:
            ends: dict[str, End] = {}
            for name, lane in self.lanes.items():
                mailbox = open_mailbox(lane, name, at_station=False, keys=keys[name])
                stack.callback(mailbox.close)
                ends[name] = End(mailbox, seal_with(keys[name]))
            stack.pop_all()
        return LaneCarrier(ends, self.mode, folder)

    def _keys(self) -> Mapping[str, Pairing | None]:
        if self.keys is None:
            return dict.fromkeys(self.lanes)
        own = KeyPair.read(self.keys / CENTRAL_KEY)
        return {
            name: Pairing(own, PublicKeys.read(self.keys / f"{name}.pub")) for name in self.lanes
        }


def lanes_of(given: Sequence[str]) -> dict[str, str]:
    """Return the lane of each station, of `NAME=URL` or `NAME,NAME=URL`.

    Raises
    ------
    UsageError
        If one is not of that form, or a station is named twice.
    """
    lanes: dict[str, str] = {}
    for option in given:
        names, _, lane = option.partition("=")
        if not lane:
            raise UsageError(
                f"{option!r} is not a station and its lane.",
                "Write NAME=LANE, as north=folder:/mnt",
            )
        for name in names.split(","):
            if name in lanes:
                raise UsageError(f"The station {name!r} has two lanes.")
            lanes[name] = lane
    return lanes
