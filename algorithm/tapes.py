"""`flower-v6 record` and `flower-v6 replay`, and recording what the bridge itself says."""

import argparse
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from algorithm.on_superlink import Join, Joined
from algorithm.screen import Screen
from proxy.errors import BridgeError
from proxy.record import Recorder
from proxy.replay import replay
from proxy.report import Observer
from proxy.tape import read_tape


def add_tape_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both to the command line."""
    record = commands.add_parser(
        "record", help="stand between SuperNodes and their SuperLink, and write what they say"
    )
    record.add_argument(
        "--superlink", required=True, metavar="HOST:PORT", help="the SuperLink's Fleet API"
    )
    record.add_argument(
        "--listen", required=True, metavar="HOST:PORT", help="what SuperNodes are given instead"
    )
    record.add_argument(
        "--about", default="", metavar="TEXT", help="what is recorded, kept on the tape"
    )
    record.add_argument("tape", type=Path, metavar="TAPE", help="the file to write")
    replay = commands.add_parser(
        "replay", help="check that the bridge says what was recorded; needs no Flower"
    )
    replay.add_argument("tapes", type=Path, nargs="+", metavar="TAPE")
    record.set_defaults(json=False, function=record_tape)
    replay.set_defaults(json=False, function=replay_tapes)


def add_tape_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that has stations recorded."""
    parser.add_argument(
        "--tape", type=Path, metavar="TAPE", help="record what SuperLink and stations say there"
    )


def on_tape(join: Join, tape: Path | None, about: str) -> Join:
    """Have all that SuperNodes and their SuperLink say to each other recorded.

    Parameters
    ----------
    join : Join
        Makes the SuperNodes. The SuperLink must not have TLS.
    tape : Path | None
        The file to write, when the SuperNodes join; None if nothing is to be recorded.
    about : str
        What is recorded, in words.
    """
    if tape is None:
        return join

    def joined(superlink: str, folder: Path, observer: Observer) -> Joined:
        with ExitStack() as stack:
            recorder = Recorder(superlink, "127.0.0.1:0", tape, about, for_us_only=True)
            stack.callback(recorder.close)
            stack.callback(join(recorder.address, folder, observer).close)
            return stack.pop_all()

    return joined


def record_tape(options: argparse.Namespace, screen: Screen) -> NoReturn:
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


def replay_tapes(options: argparse.Namespace, screen: Screen) -> int:
    """Replay tapes, each to its first difference; returns the exit code: 0 if there was none."""
    code = 0
    for path in options.tapes:
        try:
            screen.line(str(replay(read_tape(path))))
        except BridgeError as error:
            code = 1
            screen.line(str(error))
    return code
