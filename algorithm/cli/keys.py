"""`flower-v6 keys`: keys for a SuperLink that authenticates SuperNodes."""

import argparse

from algorithm.cli.options import Commands, add_command, add_flower_env, add_output
from algorithm.cli.stations import flower
from algorithm.paths import check_folder
from algorithm.runs.keys import keys_for
from algorithm.runs.screen import Screen


def add(commands: Commands) -> None:
    """Add the command."""
    about = "make keys for a SuperLink that authenticates SuperNodes"
    parser = add_command(commands, "keys", keys, about)
    parser.add_argument(
        "stations",
        nargs="+",
        metavar="NAME",
        help="the stations' names; or one number N, for the stations of `attach --stations N`",
    )
    add_output(parser, "the keys", required=True)
    add_flower_env(parser)


def keys(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the keys cannot be made.
    """
    check_folder(options.output)
    for command in keys_for(options.stations, options.output, flower(options)):
        screen.result(command)
