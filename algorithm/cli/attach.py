"""`flower-v6 attach`: stations as SuperNodes of a SuperLink that is running already."""

import argparse
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from algorithm.cli.options import (
    Commands,
    add_collaboration,
    add_command,
    add_login,
    add_organizations,
    add_superlink,
    wanted,
)
from algorithm.cli.stations import add_station_options, chosen_stations
from algorithm.researcher.attach import organizations_of
from algorithm.researcher.collaboration import enter
from algorithm.researcher.login import Settings
from algorithm.runs.attach import Access, Attached
from algorithm.runs.recording import Recording
from algorithm.runs.screen import Progress, Screen
from algorithm.runs.stations import Organizations, Stations
from proxy.calls import Lifetime
from proxy.errors import UsageError
from proxy.system.process import Workspace

_LOCAL_OPTIONS = ("stations", "node_config", "flower_env")
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
    add_station_options(parser)
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
    stations: Stations
    if options.vantage6 is not None:
        stations = vantage6_stations(options)
    else:
        _refuse(options, _VANTAGE6_OPTIONS, "needs --vantage6", "Name the image: --vantage6 IMAGE.")
        stations = chosen_stations(options)
    access = Access(options.root_certificates, options.keys)
    recording = Recording(options.tape, "flower-v6 attach")
    with (
        Workspace() as workspace,
        recording.between(options.superlink) as superlink,
        closing(Attached(stations, superlink, workspace.path, Progress(screen), access)),
    ):
        screen.line(
            f"flower-v6 | {len(stations.names)} stations are SuperNodes of"
            f" {options.superlink}; logs are in {workspace.path}; stop with Ctrl-C"
        )
        while True:
            signal.pause()


def vantage6_stations(options: argparse.Namespace) -> Organizations:
    """Return the organizations that the options name.

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
    )


def _refuse(options: argparse.Namespace, names: Sequence[str], why: str, hint: str = "") -> None:
    for name in names:
        if getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')} {why}.", hint)
