"""The organizations of a vantage6 collaboration as SuperNodes of a SuperLink outside vantage6."""

import argparse
import logging
import uuid
from collections.abc import Sequence

from algorithm.attach import Attachment, partitions
from algorithm.login import add_login_options
from algorithm.researcher import enter
from proxy.calls import DEFAULT_MODE, Lifetime
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.errors import UsageError

log = logging.getLogger(__name__)

_LOCAL_OPTIONS = ("stations", "node_config", "flower_env")
_VANTAGE6_OPTIONS = ("collaboration", "organizations", "database")


def add_vantage6_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `attach` that make organizations its stations."""
    group = parser.add_argument_group(
        "vantage6", "Stations are the organizations of a collaboration; only per-round."
    )
    group.add_argument(
        "--vantage6", metavar="IMAGE", help="the app's image, from `flower-v6 image`"
    )
    group.add_argument("--collaboration", metavar="NAME", help="name or id")
    group.add_argument(
        "--organizations",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names or ids of whose nodes are stations (default: all of the collaboration)",
    )
    group.add_argument(
        "--database",
        action="append",
        default=[],
        metavar="LABEL",
        help="a database that the ClientApps are to find; repeatable",
    )
    add_login_options(parser)


def check_local(options: argparse.Namespace) -> None:
    """Refuse options that mean something only with --vantage6.

    Raises
    ------
    UsageError
        If there is one.
    """
    for name in _VANTAGE6_OPTIONS:
        if getattr(options, name):
            raise UsageError(
                f"--{name} is of no use without --vantage6.", "Name the image: --vantage6 IMAGE."
            )


def vantage6_attachment(options: argparse.Namespace) -> tuple[Sequence[str], Attachment]:
    """Return the stations' names, and how to attach them.

    Raises
    ------
    UsageError
        If the options do not go together, or name what does not exist.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    if options.supernodes == Lifetime.WARM:
        raise UsageError(
            "From outside vantage6 no SuperNode can be kept warm: there, tasks share no job.",
            "Use --supernodes per-round, or run the whole app in vantage6 with `flower-v6 submit`.",
        )
    for name in _LOCAL_OPTIONS:
        if getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')} is of no use with --vantage6.")
    researcher = enter(options)
    stations = researcher.named(options.organizations) or list(researcher.organizations)
    for each in researcher.offline(stations):
        log.warning("the node of %s is offline: so is its SuperNode, until it is back", each.name)
    members = {
        "image": options.vantage6,
        "collaboration_id": researcher.collaboration.id,
        "databases": [{"label": label} for label in options.database],
    }
    names, job = [each.name for each in stations], uuid.uuid4().hex
    attachment = Attachment(
        lambda folder: TaskCarrier(
            Vantage6Starter(researcher.server, stations, members, folder, job),
            partitions(names, DEFAULT_MODE),
            idle_limit=None,
        ),
        options.deadline,
    )
    return names, attachment
