"""A terminal in memory, as a person sees it."""

import io
import os

import pyte

from proxy.tests.helpers import wait_until


class Terminal(io.StringIO):
    """Shows what is written to it; as large as the environment says."""

    def __init__(self) -> None:
        super().__init__()
        columns, rows = int(os.environ.get("COLUMNS", "100")), int(os.environ.get("LINES", "30"))
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._screen.set_mode(pyte.modes.LNM)  # a terminal's driver makes "\r\n" of "\n"
        self._stream = pyte.Stream(self._screen)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.feed(text)
        return super().write(text)

    @property
    def lines(self) -> list[str]:
        """All lines but empty ones at the end, those that scrolled away included."""
        scrolled = [
            "".join(line[column].data for column in range(self._screen.columns))
            for line in self._screen.history.top
        ]
        lines = [line.rstrip() for line in (*scrolled, *self._screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def visible(self) -> list[str]:
        """The lines that are not scrolled away."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def title(self) -> str:
        """The title of its window."""
        return str(self._screen.title)

    @property
    def cursor_is_shown(self) -> bool:
        """Whether there is a cursor."""
        return not self._screen.cursor.hidden

    def comes_to_show(self, text: str) -> bool:
        """Whether a text is there, after some time at most."""
        return wait_until(lambda: any(text in line for line in self.lines), 10.0)
