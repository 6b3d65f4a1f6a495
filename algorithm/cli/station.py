"""`flower-v6 station`: a data station that stays, and answers what comes on its lane."""

import argparse
from pathlib import Path

from algorithm.cli.shared.options import Commands, add_command
from algorithm.monitoring.screen import Screen
from algorithm.station.resident.service import problems, serve
from algorithm.station.resident.settings import Settings
from proxy.text import block, one_line


def add(commands: Commands) -> None:
    """Add the command."""
    about = "run a resident data station, which answers what comes on its lane"
    parser = add_command(commands, "station", station, about)
    parser.add_argument("settings", type=Path, metavar="FILE", help="the station's settings (TOML)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="say what is wrong with the settings, and start nothing",
    )


def station(options: argparse.Namespace, screen: Screen) -> int | None:
    """Run the command: without --check it returns only by an exception.

    Raises
    ------
    BridgeError
        If the station cannot serve.
    """
    settings = Settings.read(options.settings)
    if not options.check:
        serve(settings)
        return None
    faults = problems(settings)
    for problem in faults:
        screen.result(block(problem))
    if faults:
        return 1
    screen.result(one_line(f"Station {settings.name} can serve on lane {settings.lane}."))
    return None
