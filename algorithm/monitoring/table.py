"""What a terminal shows of the stations while they work: a row for each."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from algorithm.monitoring.entries import ENDED, STARTED, Entry
from algorithm.monitoring.units import size

_READY, _IDLE, _FAILED = "ready", "idle", "failed"
# What a station with a message does, by the message's last event.
_DOING = {
    "pulled": "preparing",
    "drained": "preparing",
    "sent": "working",
    "answered": "returning",
    "refused": "returning",
}
_STYLES = {"working": "green", _FAILED: "red"}
# Flower's strategies weight by it; it says nothing of the model.
_WEIGHT = "num-examples"
# The rest of the screen: the head, the line below the table, and some lines of the log.
_OTHER_LINES = 6
# A terminal that is narrower has no room for these columns.
_NARROW = 60
# Of more stations nobody sees anything, and each would be looked at several times a second.
_MOST_ROWS = 10_000
_HEADS = ("Station", "State", "Step", "Last", "Out", "Back", "Metric")


@dataclass(frozen=True)
class _Row:
    """What is known of a station; `since` and `seconds` are of its latest message."""

    state: str = _READY
    step: str = ""
    since: float = 0.0
    seconds: float | None = None
    out: int = 0
    back: int = 0
    metric: str = ""
    error: bool = False


class StationsTable:
    """Keeps what entries say of the stations, and is shown by rich.

    Parameters
    ----------
    clock : Callable[[], float]
        Tells the seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}

    def take(self, entry: Entry) -> None:
        """Take an entry."""
        with self._lock:
            if entry.event == STARTED:
                self._rows = {name: _Row() for name in entry.stations[:_MOST_ROWS]}
            elif entry.event == ENDED:
                self._rows = {}
            elif (row := self._rows.get(entry.station)) is not None:
                self._rows[entry.station] = _after(entry, row)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, with as many rows as the terminal has room for."""
        room = max(0, options.size.height - _OTHER_LINES)
        with self._lock:
            rows = dict(self._rows)
        shown = _most_telling(rows, room)
        if not shown:
            return
        narrow = options.max_width < _NARROW
        heads = _HEADS[:4] if narrow else _HEADS
        table = Table(box=None, pad_edge=False, header_style="bold")
        for head in heads:
            right = head in {"Last", "Out", "Back"}
            table.add_column(head, justify="right" if right else "left", no_wrap=True)
        now = self._clock()
        for name in shown:
            table.add_row(*_cells(name, rows[name], now)[: len(heads)])
        yield table
        if len(shown) < len(rows):
            yield Text(_rest([row for name, row in rows.items() if name not in shown]))


def _after(entry: Entry, row: _Row) -> _Row:
    """Return a station's row after an entry."""
    match entry.event:
        case "pulled":
            row = replace(row, step=entry.title, since=entry.at, error=False)
        case "sent":
            row = replace(row, out=row.out + entry.bytes)
        case "answered":
            row = replace(row, back=row.back + entry.bytes, error=entry.error_code is not None)
            names = [name for name in entry.metrics if name != _WEIGHT]
            if names:
                row = replace(row, metric=f"{names[0]} {entry.metrics[names[0]]:.4g}")
        case "pushed" | "dropped":
            failed = row.error or entry.event == "dropped"
            seconds = max(0.0, entry.at - row.since) if row.since else None
            return replace(row, state=_FAILED if failed else _IDLE, seconds=seconds)
    return replace(row, state=_DOING.get(entry.event, row.state))


def _cells(name: str, row: _Row, now: float) -> Sequence[Text]:
    state = row.state
    if state in _DOING.values():
        state += f" {max(0.0, now - row.since):.0f} s"
    last = "" if row.seconds is None else f"{row.seconds:.1f} s"
    cells = [name, state, row.step, last, size(row.out), size(row.back), row.metric]
    texts = [Text(cell, overflow="ellipsis") for cell in cells]
    texts[1].stylize(_STYLES.get(row.state, ""))
    return texts


def _most_telling(rows: dict[str, _Row], room: int) -> list[str]:
    """Return the names of the rows to show, in their order: those with most to tell if not all."""
    if len(rows) <= room:
        return list(rows)
    ranks = {_FAILED: 0, _IDLE: 2, _READY: 3}
    first = sorted(rows, key=lambda name: ranks.get(rows[name].state, 1))
    kept = set(first[: max(0, room - 1)])
    return [name for name in rows if name in kept]


def _rest(rows: Sequence[_Row]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    summary = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"… and {len(rows)} more: {summary}"
