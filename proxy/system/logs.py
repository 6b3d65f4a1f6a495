"""The log of a function. Whoever has none does not wait for `logging`, which imports much."""

import logging
import sys
import threading
import time
from types import TracebackType

from proxy.text import indented

_AGAIN_SECONDS = 600.0
_KEPT_SECONDS = 2 * _AGAIN_SECONDS


class LogFormatter(logging.Formatter):
    """Formats log records so that nothing in a message or traceback passes for another record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base's name)
        """Return the record's line, and further ones indented."""
        record.message = indented(record.message)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 (the base's name)
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the traceback, indented."""
        return f"    {indented(super().formatException(ei))}"


class Repetitions(logging.Filter):
    """Holds back a warning that was there already: what causes one may last for days.

    It comes again every ten minutes, with how often it was held back.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}  # when it was let through, and the others

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        if record.levelno != logging.WARNING:
            return True
        text, now = record.getMessage(), time.monotonic()
        with self._lock:
            for seen in [seen for seen, (at, _) in self._seen.items() if now - at > _KEPT_SECONDS]:
                del self._seen[seen]
            at, others = self._seen.get(text, (-_KEPT_SECONDS, 0))
            if now - at < _AGAIN_SECONDS:
                self._seen[text] = at, others + 1
                return False
            self._seen[text] = now, 0
        if others:
            record.msg, record.args = f"{text} ({others} more times since {now - at:.0f} s ago)", ()
        return True


def log_to_stdout() -> None:
    """Write what is logged to the standard output, unless that was begun before."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(Repetitions())
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_internal_error() -> None:
    """Log the exception that is being handled."""
    log_to_stdout()
    logging.getLogger(__name__).exception("internal error; please report it")
