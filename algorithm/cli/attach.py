"""`flower-v6 attach`: stations as SuperNodes of a SuperLink that is running already."""

import argparse
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

from algorithm.cli.shared.interrupt import Interrupted
from algorithm.cli.shared.journals import add_keep_replies, opened
from algorithm.cli.shared.observing import add_events_topic, add_metrics, online_of, takers
from algorithm.cli.shared.options import Commands, add_command, add_output, add_superlink
from algorithm.cli.shared.researcher import add_collaboration, add_login, add_organizations, wanted
from algorithm.cli.shared.stations import (
    add_lane_options,
    add_station_options,
    chosen_stations,
    lane_stations,
)
from algorithm.monitoring.feed import Feed
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Progress, Screen
from algorithm.paths import check_folder
from algorithm.researcher.attach import organizations_of
from algorithm.researcher.collaboration import enter
from algorithm.researcher.login import Settings
from algorithm.runs.attach import Access, Attached
from algorithm.runs.organizations import Organizations
from algorithm.runs.recording import Recording
from algorithm.runs.stations import Stations
from proxy.calls import DEFAULT_LIFETIME, Lifetime
from proxy.central.central_proxy import LINGER_SECONDS
from proxy.errors import BridgeError, UsageError
from proxy.journal.journal import Journal
from proxy.system.process import Workspace

_LOCAL_OPTIONS = ("stations", "node_config", "flower_env", "lane")
_VANTAGE6_OPTIONS = ("collaboration", "organizations", "database", "session", "dataframe")


def add(commands: Commands) -> None:
    """Add the command."""
    about = "make stations SuperNodes of a running SuperLink"
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "attach", attach, about, abbreviations=False)
    add_superlink(parser)
    parser.add_argument(
        "--root-certificates",
        type=Path,
        metavar="FILE",
        help="the certificates that a SuperLink with TLS is checked against (PEM)",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="the stations' keys from `flower-v6 keys`, if the SuperLink authenticates SuperNodes",
    )
    parser.add_argument(
        "--journal",
        type=Path,
        metavar="DIR",
        help="keep what is under way in this folder: started again with it after a kill, attach"
        " goes on as the same SuperNodes; made if it is missing",
    )
    add_keep_replies(parser)
    add_station_options(parser)
    add_lane_options(parser)
    add_output(parser, "events.jsonl")
    add_metrics(parser)
    add_events_topic(parser)
    add_vantage6_options(parser)


def add_vantage6_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that make organizations the stations."""
    group = parser.add_argument_group(
        "vantage6",
        "With --vantage6 the stations are the organizations of a collaboration. In vantage6 4"
        " SuperNodes are started for each message (per-round).",
    )
    group.add_argument(
        "--vantage6", metavar="IMAGE", help="the app's image, from `flower-v6 image`"
    )
    add_collaboration(group)
    add_organizations(group)
    add_login(parser)


def attach(options: argparse.Namespace, screen: Screen) -> NoReturn:
    """Run the command: returns only by an exception.

    Raises
    ------
    BridgeError
        If the stations cannot be attached.
    """
    if options.tape and options.root_certificates:
        raise UsageError("--tape cannot be used with --root-certificates: TLS cannot be recorded.")
    if options.output is not None:
        check_folder(options.output)
        options.output.mkdir(parents=True, exist_ok=True)
    access = Access(options.root_certificates, options.keys)
    recording = Recording(options.tape, "flower-v6 attach")
    with (
        opened(options) as journal,
        Workspace() as workspace,
        takers(options, screen, workspace.path, anew=False) as (taking, metrics),
        recording.between(options.superlink) as superlink,
    ):
        if journal is not None:
            journal.check_attached()
        # After all that may fail: copies of databases are made for them, which are removed when
        # they have been attached. The stations of a job that goes on are in the journal.
        stations = _stations(options, journal)
        if journal is not None:
            journal.tell_of_others(stations.names)
        outcome = Outcome(
            app="",
            flower_release=stations.release,
            supernodes=_lifetime(options, stations),
            stations=list(stations.names),
        )
        folder, progress = workspace.path, Progress(screen)
        with (
            _told(Feed(*taking), outcome) as feed,
            closing(
                Attached(
                    *(stations, superlink, folder, progress, feed, access, journal),
                    linger=LINGER_SECONDS,
                )
            ) as attached,
        ):
            if metrics is not None:
                metrics.online = online_of(attached.carrier)
            screen.line(
                f"flower-v6 | {len(stations.names)} stations are SuperNodes of"
                f" {options.superlink}; logs are in {attached.folder}; stop with Ctrl-C"
            )
            while True:
                signal.pause()


def _stations(options: argparse.Namespace, journal: Journal | None) -> Stations:
    """Return the stations that the options name."""
    if options.vantage6 is not None:
        return vantage6_stations(options, journal)
    stations: Stations
    if options.lane:
        _refuse(options, (*_VANTAGE6_OPTIONS, "flower_env"), "cannot be used with --lane")
        stations, way = lane_stations(options), "over a lane"
    else:
        _refuse(options, _VANTAGE6_OPTIONS, "needs --vantage6", "Name the image: --vantage6 IMAGE.")
        stations, way = chosen_stations(options), "on this machine"
    if journal is not None:
        journal.check_reached(stations.names, way)
    return stations


def _lifetime(options: argparse.Namespace, stations: Stations) -> Lifetime:
    """Return how long the stations keep a SuperNode; in vantage6 that is not the user's alone."""
    if isinstance(stations, Organizations):
        return Lifetime.PER_ROUND if stations.idle_limit is None else Lifetime.WARM
    return Lifetime(options.supernodes or DEFAULT_LIFETIME)


@contextmanager
def _told(feed: Feed, outcome: Outcome) -> Iterator[Feed]:
    """Have a feed tell of the command's start, and how it ended."""
    with feed.about(outcome):
        try:
            yield feed
        except Interrupted as interrupted:
            outcome.status, outcome.cause = "cancelled", str(interrupted)
            raise
        except Exception as error:
            outcome.cause = error.message if isinstance(error, BridgeError) else str(error)
            raise


def vantage6_stations(options: argparse.Namespace, journal: Journal | None = None) -> Organizations:
    """Return the organizations that the options name; those of a journal's job find it again.

    Raises
    ------
    UsageError
        If the options do not go together, or name what does not exist.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    if not options.vantage6:
        raise UsageError("The image's name is empty.", "Name the app's image: --vantage6 IMAGE.")
    _refuse(options, _LOCAL_OPTIONS, "cannot be used with --vantage6")
    return organizations_of(
        enter(Settings.gathered(vars(options))),
        options.vantage6,
        options.organizations,
        wanted(options),
        options.deadline,
        None if options.supernodes is None else Lifetime(options.supernodes),
        journal,
    )


def _refuse(options: argparse.Namespace, names: Sequence[str], why: str, hint: str = "") -> None:
    for name in names:
        if getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')} {why}.", hint)
