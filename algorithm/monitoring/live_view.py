"""The part of a terminal that changes: a table of the stations, and a line below it."""

import threading
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from algorithm.monitoring.entries import Entry
from algorithm.monitoring.table import StationsTable

_REFRESHES = 4  # a second


class LiveView:
    """Shown below all lines, and drawn anew several times a second; not there while it is empty.

    Parameters
    ----------
    stream : TextIO
        The terminal; writing to it does not raise.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = _Console(file=stream, force_terminal=True, highlight=False, markup=False)
        self._table = StationsTable()
        self._status = Text(no_wrap=True, overflow="ellipsis")
        self._live: Live | None = None
        self._showing = threading.Lock()

    def line(self, text: str) -> None:
        """Show a line, which may have colours, above the rest."""
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def status(self, text: str) -> None:
        """Replace the line below the table."""
        self._status = Text(text, no_wrap=True, overflow="ellipsis")
        self._show()

    def take(self, entry: Entry) -> None:
        """Take what happened to a station's message."""
        self._table.take(entry)
        self._show()

    def __rich_console__(self, _: Console, __: ConsoleOptions) -> RenderResult:
        """Yield what is shown now."""
        yield self._table
        if self._status:
            yield self._status

    def close(self) -> None:
        """Leave the terminal with nothing but the lines."""
        with self._showing:
            self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None

    def _show(self) -> None:
        with self._showing:
            if not (self._table or self._status):
                self._stop()
            elif self._live is None:
                self._live = self._begun()

    def _begun(self) -> Live:
        live = Live(
            self,
            console=self._console,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start(refresh=True)
        return live


class _Console(Console):
    """A console that leaves the cursor as it is: whoever is killed cannot show it again."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
        """Do nothing."""
        return False
