"""What the user sees while it runs: lines, and on a terminal what changes below them."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO, cast

from algorithm.monitoring.entries import MARK, Entry
from algorithm.monitoring.units import size
from proxy.carriers import Carrier
from proxy.central.report import MessageRecord, Observer
from proxy.text import LINE, indented, one_line

if TYPE_CHECKING:
    from algorithm.monitoring.live_view import LiveView


# Terminals that obey no sequences.
_PLAIN_TERMINALS = ("dumb", "unknown")


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
    plain : bool
        Whether there are lines only, also on a terminal: a container may have one that becomes a
        log.

    Attributes
    ----------
    failure : OSError | None
        Why the output could not be written; nothing is written after that.
    """

    def __init__(
        self,
        stream: TextIO,
        reader_gone: Callable[[], None] = lambda: None,
        plain: bool = False,
    ) -> None:
        super().__init__()
        self.failure: OSError | None = None
        self._stream = stream
        self._reader_gone = reader_gone
        terminal = stream.isatty() and not plain
        self._colours = terminal and not os.environ.get("NO_COLOR")
        self._writing = threading.RLock()
        self._view: LiveView | None = None
        if terminal and os.environ.get("TERM") not in _PLAIN_TERMINALS:
            # Where nobody looks, in containers above all, this import is not waited for.
            from algorithm.monitoring import live_view  # noqa: PLC0415

            self._view = live_view.LiveView(cast(TextIO, _Terminal(self)))

    def line(self, text: str, colours: bool = False) -> None:
        """Write a line above what changes; its colours are kept if asked for, on a terminal."""
        self._lines([one_line(text, LINE, colours and self._colours)])

    def status(self, text: str) -> None:
        """Show a line that the next status replaces; on a terminal only."""
        if self._view is not None:
            self._view.status(one_line(text))

    def take(self, entry: Entry) -> None:
        """Show what happened to a message in the stations' table; on a terminal only."""
        if self._view is not None:
            self._view.take(entry)

    def result(self, text: str) -> None:
        """Write what a program may read to standard output, as it is."""
        self._write(sys.stdout, f"{text}\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record, with the exception if it has one; further lines are indented."""
        text = f"flower-v6 | {record.levelname.lower()}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({record.exc_info[1]!r})"
        self._lines(indented(text).split("\n"))

    def leave(self) -> None:
        """Leave a terminal with nothing but the lines."""
        if self._view is not None:
            self._view.close()

    def write(self, text: str) -> None:
        """Write to the stream, as it is."""
        self._write(self._stream, text)

    def _lines(self, texts: Sequence[str]) -> None:
        # What an app writes is never taken for an entry.
        text = "\n".join(f" {text}" if text.startswith(MARK) else text for text in texts)
        if self._view is not None:
            self._view.line(text)
        else:
            self.write(f"{text}\n")

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


class _Terminal:
    """The stream of a screen, for a library that writes to it: it never raises."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, text: str) -> int:
        """Write."""
        self._screen.write(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is written is there."""

    def isatty(self) -> bool:
        """Whether it is a terminal: it is."""
        return True


@dataclass
class _Step:
    """Messages of one type that went out together."""

    title: str
    started: float
    taken: int = 0
    answered: list[MessageRecord] = field(default_factory=list)
    offline: Sequence[str] = ()

    def __str__(self) -> str:
        out = sum(record.bytes_out for record in self.answered)
        back = sum(record.bytes_back for record in self.answered)
        errors = sum(
            bool(record.error or record.error_code is not None) for record in self.answered
        )
        return (
            f"flower-v6 | {self.title}: {len(self.answered)} of {self.taken + len(self.offline)}"
            " stations answered"
            + (f", {errors} with an error" if errors else "")
            + "".join(f", {one_line(station)} is offline" for station in self.offline)
            + f", {size(out)} out, {size(back)} back, {time.monotonic() - self.started:.1f} s"
        )


class Progress(Observer):
    """Shows each step of each Flower run, and keeps all records.

    Attributes
    ----------
    carrier : Carrier | None
        Knows which stations are offline: they are counted as stations that did not answer.
    """

    def __init__(self, screen: Screen) -> None:
        self.records: list[MessageRecord] = []
        self.carrier: Carrier | None = None
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
                step.offline = self._offline(step)
                self._screen.status("")
                self._screen.line(str(step))
            else:
                self._screen.status(str(step))

    def _offline(self, step: _Step) -> Sequence[str]:
        """Return the stations that got no message of a step because they cannot be reached."""
        if self.carrier is None:
            return ()
        answered = {record.station for record in step.answered}
        return [
            name
            for name in self.carrier.stations
            if name not in answered and not self.carrier.online(name)
        ]


def _step_of(record: MessageRecord) -> tuple[str, str, int]:
    return record.flower_run, record.message_type, record.step
