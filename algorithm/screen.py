"""What the user sees while it runs: lines, and on a terminal one line that changes."""

import logging
import re
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TextIO

from proxy.report import MessageRecord, Observer

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CLEAR_LINE = "\r\x1b[K"


class Screen(logging.Handler):
    """Writes lines, each whole, from several threads; the bridge's own log lines among them."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._terminal = stream.isatty()
        self._status = ""
        self._writing = threading.Lock()

    def line(self, text: str) -> None:
        """Write a line above the status."""
        if not self._terminal:
            text = _ANSI.sub("", text)
        with self._writing:
            clear = _CLEAR_LINE if self._status else ""
            self._stream.write(f"{clear}{text}\n{self._status}")
            self._stream.flush()

    def status(self, text: str) -> None:
        """Show a line that the next status replaces; on a terminal only."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            with self._writing:
                self._status = text = text[:width]
                self._stream.write(f"{_CLEAR_LINE}{text}")
                self._stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record as a line."""
        self.line(f"flower-v6 | {record.levelname.lower()}: {record.getMessage()}")


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
                self._screen.line(f"flower-v6 | {record.station}: {record.error}")
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
