"""What the user sees while it runs: lines, and on a terminal one line that changes."""

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from proxy.central.report import MessageRecord, Observer
from proxy.text import LINE, indented, one_line

_CLEAR_LINE = "\r\x1b[K"


class Screen(logging.Handler):
    """Writes lines, each whole, from several threads; the bridge's own log lines among them.

    All that is written is cleaned (`proxy.text`). Nothing here raises: a full disk or a reader
    that went away must not cost a message its reply.

    Parameters
    ----------
    stream : TextIO
        Where to write.
    reader_gone : Callable[[], None]
        Called once, from the thread that writes, when nobody reads any more (`| head`).
    watched : bool
        Whether a terminal that the stream is has somebody before it.

    Attributes
    ----------
    failure : OSError | None
        Why the output could not be written; nothing is written after that.
    """

    def __init__(
        self,
        stream: TextIO,
        reader_gone: Callable[[], None] = lambda: None,
        watched: bool = True,
    ) -> None:
        super().__init__()
        self.failure: OSError | None = None
        self._stream = stream
        self._reader_gone = reader_gone
        self._terminal = watched and stream.isatty()
        self._status = ""
        self._writing = threading.RLock()

    def line(self, text: str, colours: bool = False) -> None:
        """Write a line above the status; its colours are kept if asked for, on a terminal."""
        text = one_line(text, LINE, colours and self._terminal)
        with self._writing:
            clear = _CLEAR_LINE if self._status else ""
            self._write(self._stream, f"{clear}{text}\n{self._status}")

    def status(self, text: str) -> None:
        """Show a line that the next status replaces; on a terminal only."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            with self._writing:
                self._status = text = one_line(text)[:width]
                self._write(self._stream, f"{_CLEAR_LINE}{text}")

    def result(self, text: str) -> None:
        """Write what a program may read to standard output, as it is."""
        self._write(sys.stdout, f"{text}\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record, with the exception if it has one; further lines are indented."""
        text = f"flower-v6 | {record.levelname.lower()}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({record.exc_info[1]!r})"
        with self._writing:
            for line in indented(text).split("\n"):
                self.line(line)

    def _write(self, stream: TextIO, text: str) -> None:
        with self._writing:
            if self.failure is not None:
                return
            try:
                stream.write(text)
                stream.flush()
            except OSError as error:
                self.failure = error
            else:
                return
        if isinstance(self.failure, BrokenPipeError):
            self._reader_gone()


@dataclass
class _Step:
    """Messages of one type that went out together."""

    title: str
    started: float
    taken: int = 0
    answered: list[MessageRecord] = field(default_factory=list)

    def __str__(self) -> str:
        out = sum(record.bytes_out for record in self.answered)
        back = sum(record.bytes_back for record in self.answered)
        errors = sum(bool(record.error) for record in self.answered)
        return (
            f"flower-v6 | {self.title}: {len(self.answered)} of {self.taken} stations answered"
            + (f", {errors} with an error" if errors else "")
            + f", {_size(out)} out, {_size(back)} back, {time.monotonic() - self.started:.1f} s"
        )


class Progress(Observer):
    """Shows each step of each Flower run, and keeps all records."""

    def __init__(self, screen: Screen) -> None:
        self.records: list[MessageRecord] = []
        self._screen = screen
        self._lock = threading.Lock()
        self._steps: dict[tuple[str, str, int], _Step] = {}

    def taken(self, record: MessageRecord) -> None:
        """A station's message was pulled."""
        with self._lock:
            step = self._steps.setdefault(
                _step_of(record), _Step(record.title, started=time.monotonic())
            )
            step.taken += 1
            self._screen.status(str(step))

    def answered(self, record: MessageRecord) -> None:
        """It has its reply."""
        with self._lock:
            self.records.append(record)
            step = self._steps[_step_of(record)]
            step.answered.append(record)
            if record.error:
                self._screen.line(
                    f"flower-v6 | {one_line(record.station)}: {one_line(record.error)}"
                )
            if len(step.answered) == step.taken:
                self._screen.status("")
                self._screen.line(str(step))
            else:
                self._screen.status(str(step))


def _step_of(record: MessageRecord) -> tuple[str, str, int]:
    return record.flower_run, record.message_type, record.step


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
