"""`flower-v6 record`: what SuperNodes and their SuperLink say to each other, on a tape."""

import argparse
import signal
from pathlib import Path
from typing import NoReturn

from algorithm.cli.shared.options import Commands, add_command, add_superlink
from algorithm.monitoring.screen import Screen
from proxy.tapes.record import Recorder


def add(commands: Commands) -> None:
    """Add the command."""
    about = "record what SuperNodes and their SuperLink say to each other"
    parser = add_command(commands, "record", record, about)
    add_superlink(parser)
    parser.add_argument(
        "--listen",
        required=True,
        metavar="HOST:PORT",
        help="the address that SuperNodes get as --superlink instead",
    )
    parser.add_argument(
        "--about", default="", metavar="TEXT", help="a text about the recording, kept on the tape"
    )
    parser.add_argument("tape", type=Path, metavar="TAPE", help="the file to write")


def record(options: argparse.Namespace, screen: Screen) -> NoReturn:
    """Record until interrupted: returns only by an exception.

    Raises
    ------
    BridgeError
        If it cannot record.
    """
    recorder = Recorder(options.superlink, options.listen, options.tape, options.about)
    try:
        screen.line(
            f"flower-v6 | recording {options.superlink} on {options.tape}: start SuperNodes with"
            f" --superlink {recorder.address}; stop with Ctrl-C"
        )
        while True:
            signal.pause()
    finally:
        recorder.close()
