"""Carriers move bundles between the central and the stations. They know nothing of Flower.

`Carrier` is the whole protocol. `local` runs every station on this machine, `vantage6` reaches the
organizations of a collaboration. A carrier never imports `proxy.central` or `proxy.client`.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Exchange:
    """A bundle to bring to a station, and where its answer goes.

    Attributes
    ----------
    message_id : str
        Names the exchange: a station answers a repeated one with the answer that it has.
    title : str
        Says to people what it is, for example "train 3".
    instruction, reply : Path
        An existing bundle, and where to put the answering one.
    timeout : float
        Seconds after which to give up.
    cancelled : threading.Event
        Set when nobody wants the answer any more.
    """

    message_id: str
    title: str
    instruction: Path
    reply: Path
    timeout: float
    cancelled: threading.Event


class Carrier(Protocol):
    """What CentralProxy needs of the world between it and the stations.

    Stations are known by name (in vantage6: the organization's). Each has at most one exchange
    at a time, several stations have theirs at once, from threads of their own.
    """

    @property
    def stations(self) -> Sequence[str]:
        """The names of the stations, in a fixed order."""
        ...

    def prepare(self, station: str, node_id: int) -> None:
        """Let a station get ready under the node id that the SuperLink gave to it.

        Called before the first exchange, and again whenever the node id changes.
        """
        ...

    def online(self, station: str) -> bool:
        """Whether a station can be reached, as far as is known."""
        ...

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Bring an instruction bundle to a station, and its answer back.

        A carrier may deliver twice; the station does not train twice.

        Raises
        ------
        CarrierError
            If there is no answer, with the reason. `Cancelled` if it was called off.
        """
        ...

    def close(self) -> None:
        """End whatever runs at the stations for this job."""
        ...
