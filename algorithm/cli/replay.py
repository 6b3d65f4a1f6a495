"""`flower-v6 replay`: whether the bridge says what was recorded."""

import argparse
from pathlib import Path

from algorithm.cli.shared.options import Commands, add_command
from algorithm.monitoring.screen import Screen
from proxy.errors import BridgeError
from proxy.tapes.replay import replay as replayed
from proxy.tapes.tape import read_tape


def add(commands: Commands) -> None:
    """Add the command."""
    about = "check that the bridge says what was recorded; needs no Flower"
    parser = add_command(commands, "replay", replay, about)
    parser.add_argument(
        "tapes", type=Path, nargs="+", metavar="TAPE", help="a tape from `flower-v6 record`"
    )


def replay(options: argparse.Namespace, screen: Screen) -> int:
    """Replay tapes, each to its first difference; returns the exit code: 0 if there was none."""
    code = 0
    for path in options.tapes:
        try:
            text = str(replayed(read_tape(path)))
        except BridgeError as error:
            code, text = 1, str(error)
        for line in text.splitlines():
            screen.line(line)
    return code
