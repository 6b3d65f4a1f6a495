"""The log of a function. Whoever has none does not wait for `logging`, which imports much."""

import logging
import sys
from types import TracebackType

from proxy.text import indented


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


def log_to_stdout() -> None:
    """Write what is logged to the standard output, unless that was begun before."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def log_internal_error() -> None:
    """Log the exception that is being handled."""
    log_to_stdout()
    logging.getLogger(__name__).exception("internal error; please report it")
