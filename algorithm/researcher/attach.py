"""The organizations of a vantage6 collaboration as SuperNodes of a SuperLink outside vantage6."""

import logging
import uuid
from collections.abc import Sequence

from algorithm.researcher.collaboration import Researcher
from algorithm.runs.stations import Organizations
from proxy.platforms import VANTAGE6_4

log = logging.getLogger(__name__)


def organizations_of(
    researcher: Researcher,
    image: str,
    organizations: Sequence[str],
    databases: Sequence[str],
    deadline: float,
) -> Organizations:
    """Return the organizations that are stations.

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
    creator = VANTAGE6_4.user
    job = None if creator.shares_folder else uuid.uuid4().hex
    return Organizations(researcher.server, stations, members, creator, deadline, job=job)
