"""The organizations of a vantage6 collaboration as SuperNodes of a SuperLink outside vantage6."""

import logging
import uuid
from collections.abc import Sequence

from algorithm.attach import Attachment, partitions
from algorithm.researcher import Researcher
from proxy.calls import DEFAULT_MODE
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.platforms import VANTAGE6_4

log = logging.getLogger(__name__)


def organizations_attachment(
    researcher: Researcher,
    image: str,
    organizations: Sequence[str],
    databases: Sequence[str],
    deadline: float,
) -> tuple[Sequence[str], Attachment]:
    """Return the organizations' names, and how to attach them.

    Parameters
    ----------
    researcher : Researcher
        Creates the tasks.
    image : str
        The app's image.
    organizations : Sequence[str]
        Names or ids of the organizations that are stations; empty for all of the collaboration.
    databases : Sequence[str]
        The labels of the databases that ClientApps get.
    deadline : float
        Seconds that a station has for a message.

    Raises
    ------
    UsageError
        If an organization does not exist, or has no node.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    stations = researcher.named(organizations) or list(researcher.organizations)
    for station in researcher.offline(stations):
        log.warning(
            "the node of %s is offline; its SuperNode is offline until the node is back",
            station.name,
        )
    members = {
        "image": image,
        "collaboration_id": researcher.collaboration.id,
        "databases": [{"label": label} for label in databases],
    }
    names, creator = [station.name for station in stations], VANTAGE6_4.user
    job = None if creator.shares_folder else uuid.uuid4().hex
    attachment = Attachment(
        lambda folder: TaskCarrier(
            Vantage6Starter(researcher.server, stations, members, folder, creator, job),
            partitions(names, DEFAULT_MODE),
            idle_limit=None,
        ),
        deadline,
    )
    return names, attachment
