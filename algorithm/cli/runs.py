"""`flower-v6 runs`: what a journal holds."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from algorithm.cli.shared.options import Commands, add_command
from algorithm.monitoring.screen import Screen
from proxy.errors import UsageError
from proxy.journal.history import Entry, History, RunEntry
from proxy.system.records import read
from proxy.text import one_line


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "runs", runs, "show what a journal of run or attach holds; changes nothing"
    )
    parser.add_argument("journal", type=Path, metavar="DIR", help="the journal's folder")


def runs(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    UsageError, DamagedRecords
        If there is no journal, or it is damaged.
    """
    path = options.journal / "journal"
    try:
        history = History(read(path), path)
    except OSError as error:
        raise UsageError(f"The journal {path} cannot be read: {error.strerror}.") from error
    if not history.name:
        raise UsageError(f"There is no journal in {options.journal}.")
    for line in _told(history):
        screen.result(one_line(line))


def _told(history: History) -> Iterator[str]:
    if not history.runs and history.entries:
        yield "An attached SuperLink's messages."
        yield from _messages(history.entries.values())
    for number, run in enumerate(history.runs, start=1):
        began = datetime.fromtimestamp(run.at, UTC).isoformat(" ", "seconds")
        ending = _ending(run, is_last=run is history.run)
        yield f"Run {number}, begun {began}, {run.about.get('mode', '')} mode: {ending}"
        yield from _messages(run.entries)


def _ending(run: RunEntry, is_last: bool) -> str:
    again = f"; continued {run.resumed} times" if run.resumed else ""
    if not run.refused:
        return f"{run.ended or 'not ended'}{again}."
    if run.ended or is_last:
        return f"{run.ended or 'not ended'}{again}; it cannot be continued. {run.refused}"
    return f"begun anew, because it could not go on{again}. {run.refused}"


def _messages(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield a line for the messages that went out together."""

    def key(entry: Entry) -> tuple[str, str]:
        return entry.flower_run, entry.title

    in_rounds = sorted(entries, key=lambda entry: (entry.flower_run, entry.round_number))
    for (flower_run, title), group in groupby(in_rounds, key):
        states = Counter(str(entry.stage) for entry in group)
        summary = ", ".join(f"{number} {state}" for state, number in states.items())
        yield f"  run {flower_run}, {title}: {summary}"
