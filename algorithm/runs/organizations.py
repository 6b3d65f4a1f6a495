"""The organizations of a vantage6 collaboration, as the stations of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.calls import DEFAULT_MODE, Mode, Settings
from proxy.carriers import Carrier
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter, always
from proxy.platforms import Creator
from proxy.vantage6.server import Organization, Server


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
    over : Callable[[], bool]
        See `Vantage6Starter`.
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
    over: Callable[[], bool] = always
    # A data station's own business.
    node_configs: Sequence[str] = ()

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
            self.over,
        )
        count = len(self.organizations)
        settings = {
            name: Settings(f"partition-id={index} num-partitions={count}", self.mode)
            for index, name in enumerate(self.names)
        }
        return TaskCarrier(starter, settings, self.idle_limit)
