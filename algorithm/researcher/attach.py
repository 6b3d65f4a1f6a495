"""The organizations of a vantage6 collaboration as SuperNodes of a SuperLink outside vantage6."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from algorithm.researcher.collaboration import Researcher
from algorithm.researcher.job import kept_job, new_job
from algorithm.runs.organizations import Organizations
from proxy.calls import LONGEST_SECONDS, Lifetime
from proxy.errors import UsageError
from proxy.generations import generation_of
from proxy.journal.journal import Journal
from proxy.vantage6.data import Place, Wanted

log = logging.getLogger(__name__)


def organizations_of(
    researcher: Researcher,
    image: str,
    organizations: Sequence[str],
    wanted: Wanted,
    deadline: float,
    supernodes: Lifetime | None,
    journal: Journal | None,
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
    wanted : Wanted
        The data that ClientApps get.
    deadline : float
        Seconds that a station has for a message.
    supernodes : Lifetime | None
        How long a station keeps its SuperNode; None for as long as it can.
    journal : Journal | None
        Whose job is gone on with, if it has one.

    Raises
    ------
    UsageError
        If an organization does not exist or has no node, no SuperNode can be kept, the journal's
        job has other data, or a station has a message that it did not get in vantage6.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    platform = researcher.server.platform
    creator = platform.user
    if supernodes == Lifetime.WARM and not creator.keeps_hosts:
        raise UsageError(
            "From outside vantage6 4 no SuperNode can be kept warm: there, tasks share no job.",
            "Use --supernodes per-round, or run the whole app in vantage6 with `flower-v6 submit`.",
        )
    warm = creator.keeps_hosts and supernodes != Lifetime.PER_ROUND
    stations = researcher.named(organizations) or list(researcher.organizations)
    for station in researcher.offline(stations):
        log.warning(
            "the node of %s is offline; its SuperNode is offline until the node is back",
            station.name,
        )
    place = Place(researcher.collaboration.id, image)

    def prepare() -> Mapping[str, Any]:
        data = generation_of(platform).prepare(researcher.server, place, stations, wanted, log.info)
        return data.members

    if journal is None:
        job = new_job(prepare)
    else:
        journal.check_reached([station.name for station in stations], "in vantage6")
        about = {
            "server": researcher.server.url,
            "collaboration": researcher.collaboration.id,
            "databases": list(wanted.labels),
            "session": wanted.session,
            "dataframes": list(wanted.dataframes),
            # Only these have extracted the databases.
            "organizations": sorted(organization.id for organization in stations)
            if wanted.labels
            else [],
        }
        job = kept_job(journal, creator, about, prepare)
    members = {
        "image": image,
        "collaboration_id": researcher.collaboration.id,
        **job.members,
    }
    return Organizations(
        researcher.server,
        stations,
        members,
        creator,
        deadline,
        idle_limit=min(2 * deadline, LONGEST_SECONDS) if warm else None,
        job=job.name if creator.names_job else None,
        over=job.over,
    )
