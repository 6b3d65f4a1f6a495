"""`flower-v6 keys`: keys for a SuperLink that authenticates SuperNodes, and for lanes."""

import argparse
from pathlib import Path

from algorithm.cli.shared.options import Commands, add_command, add_flower_env, add_output
from algorithm.cli.shared.stations import flower
from algorithm.monitoring.screen import Screen
from algorithm.paths import check_folder
from algorithm.runs.keys import keys_for, lane_key_in, lane_keys_for
from proxy.errors import UsageError


def add(commands: Commands) -> None:
    """Add the command."""
    about = "make keys for a SuperLink that authenticates SuperNodes, or for the ends of lanes"
    parser = add_command(commands, "keys", keys, about)
    parser.add_argument(
        "stations",
        nargs="+",
        metavar="NAME",
        help="the stations' names; or one number N, for the stations of `attach --stations N`",
    )
    add_output(parser, "the keys")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--lane",
        action="store_true",
        help="make keys for the ends of lanes: NAME is a station, or central",
    )
    kinds.add_argument(
        "--show",
        action="store_true",
        help="show the fingerprint of a lane's key, whose file NAME is",
    )
    add_flower_env(parser)


def keys(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the keys cannot be made.
    """
    if options.show:
        for name in options.stations:
            screen.result(lane_key_in(Path(name)))
        return
    if options.output is None:
        raise UsageError("The folder for the keys is not given.", "Name a folder: --output DIR.")
    check_folder(options.output)
    if options.lane:
        lines = lane_keys_for(options.stations, options.output)
    else:
        lines = keys_for(options.stations, options.output, flower(options))
    for line in lines:
        screen.result(line)
