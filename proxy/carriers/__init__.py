"""Carriers move bundles between the central and the stations. They know nothing of Flower.

`Carrier` is the whole protocol. `local` runs every station on this machine; others take the same
place. A carrier never imports `proxy.central` or `proxy.client`.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


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

    def exchange(
        self,
        station: str,
        message_id: str,
        instruction: Path,
        reply: Path,
        timeout: float,
        cancelled: threading.Event,
    ) -> None:
        """Bring an instruction bundle to a station, and its answer to the path `reply`.

        A carrier may deliver twice; the station does not train twice.

        Parameters
        ----------
        station : str
            Where to.
        message_id : str
            Names the exchange: a station answers a repeated one with the answer that it has.
        instruction, reply : Path
            An existing bundle, and where to put the answering one.
        timeout : float
            Seconds after which to give up.
        cancelled : threading.Event
            Set when nobody wants the answer any more.

        Raises
        ------
        CarrierError
            If there is no answer, with the reason. `Cancelled` if it was called off.
        """
        ...

    def close(self) -> None:
        """End whatever runs at the stations for this job."""
        ...
