"""`flower-v6 runs`: what a journal holds."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
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
    for line in _told(history, options.journal):
        screen.result(one_line(line))


def _told(history: History, folder: Path) -> Iterator[str]:
    if not history.runs and not history.entries:
        yield f"The journal {folder} holds no run and no message yet."
    if not history.runs and history.entries:
        yield "An attached SuperLink's messages."
        yield from _messages(history.entries.values(), lambda e: f"run {e.flower_run}, {e.title}")
    for number, run in enumerate(history.runs, start=1):
        began = datetime.fromtimestamp(run.at, UTC).isoformat(" ", "seconds")
        ending = _ending(run, is_last=run is history.run)
        yield f"Run {number}, begun {began}, {run.about.get('mode', '')} mode: {ending}"
        # Flower gives it another id each time that it goes on.
        yield from _messages(run.entries, lambda entry: entry.title)


def _ending(run: RunEntry, is_last: bool) -> str:
    again = f"; continued {run.resumed} times" if run.resumed else ""
    if not run.refused:
        return f"{run.ended or 'not ended'}{again}."
    if run.ended or is_last:
        return f"{run.ended or 'not ended'}{again}; it cannot be continued. {run.refused}"
    return f"begun anew, because it could not go on{again}. {run.refused}"


def _messages(entries: Iterable[Entry], name: Callable[[Entry], str]) -> Iterator[str]:
    """Yield a line for the messages of one name, in the order in which the first were pulled."""
    groups: dict[str, Counter[str]] = {}
    for entry in entries:
        state = "called off" if entry.called_off else entry.stage
        groups.setdefault(name(entry), Counter())[state] += 1
    for title, states in groups.items():
        yield f"  {title}: {', '.join(f'{number} {state}' for state, number in states.items())}"
