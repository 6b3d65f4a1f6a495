"""The command's entry: its options, its errors, and its exit code."""

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from algorithm.cli.shared.interrupt import Interrupted, heed_signals, interrupt
from algorithm.monitoring.screen import Screen
from proxy import __version__
from proxy.errors import BridgeError, UsageError, reason_of
from proxy.system.logs import Repetitions
from proxy.system.malloc import give_back_large_blocks
from proxy.system.private import keep_private
from proxy.system.streams import flush_streams, ready_streams
from proxy.text import block

# The module of each command, in the order of the help.
_COMMANDS = {
    "run": "algorithm.cli.run",
    "attach": "algorithm.cli.attach",
    "station": "algorithm.cli.station",
    "keys": "algorithm.cli.keys",
    "kafka": "algorithm.cli.kafka",
    "image": "algorithm.cli.vantage6.image",
    "submit": "algorithm.cli.vantage6.submit",
    "watch": "algorithm.cli.vantage6.watch",
    "fetch": "algorithm.cli.vantage6.fetch",
    "kill": "algorithm.cli.vantage6.kill",
    "delete": "algorithm.cli.vantage6.delete",
    "report": "algorithm.cli.report",
    "runs": "algorithm.cli.runs",
    "record": "algorithm.cli.record",
    "replay": "algorithm.cli.replay",
    "compat": "algorithm.cli.compat",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 only if all went well."""
    ready_streams()
    keep_private()
    give_back_large_blocks()
    try:
        if arguments is None:
            arguments = sys.argv[1:]
        options = parser(arguments[:1]).parse_args(arguments)
        screen = Screen(sys.stderr if options.json else sys.stdout, interrupt)
        level = logging.INFO if options.command in ("attach", "station") else logging.WARNING
        screen.addFilter(Repetitions())
        logging.basicConfig(level=level, handlers=[screen])
        heed_signals()
        try:
            return _run(options, screen)
        finally:
            screen.leave()
    finally:
        flush_streams()


def parser(names: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return what reads the command line.

    Parameters
    ----------
    names : Sequence[str]
        The commands that it shall know; all if there is one among them that is no command. The
        others are not imported: that would take longer than many a command.
    """
    parser = argparse.ArgumentParser(
        prog="flower-v6",
        description="Runs unmodified Flower apps on one machine, next to your own SuperLink, or in"
        " vantage6.",
    )
    parser.add_argument("--version", action="version", version=f"flower-v6 {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    if not names or not _COMMANDS.keys() >= set(names):
        names = list(_COMMANDS)
    for name in names:
        import_module(_COMMANDS[name]).add(commands)
    return parser


def _run(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command that the options name; returns the exit code."""
    try:
        _check_text(options)
        exit_code: int = options.function(options, screen) or 0
    except Interrupted as interrupted:
        screen.leave()
        if isinstance(screen.failure, BrokenPipeError):
            return 128 + signal.SIGPIPE
        _complain(str(interrupted))
        return 128 + interrupted.number
    except (BridgeError, OSError) as error:
        screen.leave()
        _complain(_sentence(error))
        return 1
    except Exception:
        screen.leave()
        _complain(f"internal error; please report it\n{traceback.format_exc()}")
        return 1
    if screen.failure is not None:
        _complain(f"The output cannot be written: {_sentence(screen.failure)}")
        return 1
    return exit_code


def _check_text(options: argparse.Namespace) -> None:
    """Refuse texts that are no Unicode; a path may be any bytes."""
    for name, value in vars(options).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and any(
                "\ud800" <= character <= "\udfff" for character in text
            ):
                raise UsageError(
                    f"The value {text!r} of {name.replace('_', '-')} is not UTF-8.",
                    "Type it anew, or set your terminal's encoding to UTF-8.",
                )


def _sentence(error: Exception) -> str:
    """Return an error as a sentence, the system's own errors included."""
    if isinstance(error, BridgeError):
        return str(error)
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return f"{where}{reason_of(error)}."


def _complain(text: str) -> None:
    """Say to standard error what went wrong, even if nobody can read it there."""
    with suppress(OSError):  # the exit code says it, too
        print(block(f"flower-v6: {text}"), file=sys.stderr, flush=True)
