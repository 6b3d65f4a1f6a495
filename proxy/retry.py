"""Calling a SuperLink, or another server, that may be out of reach for a while."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from proxy.errors import BridgeError, Cancelled, Unreachable

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_PAUSE_SECONDS = (0.5, 10.0)


def retrying(
    call: Callable[[], Answer],
    stop: threading.Event,
    until: float | None = None,
    unreachable: type[BridgeError] = Unreachable,
) -> Answer:
    """Return what `call` returns, trying again while the other side is unreachable.

    Parameters
    ----------
    call : Callable
        May be called several times.
    stop : threading.Event
        Ends the waiting.
    until : float | None
        When to give up, in seconds of `time.monotonic`; None to try until stopped.
    unreachable : type[BridgeError]
        How `call` says that it is.

    Raises
    ------
    Cancelled
        If `stop` was set before there was an answer.
    Unreachable
        Or what `unreachable` names, if there was none in time.
    """
    pause, longest = _PAUSE_SECONDS
    while True:
        try:
            return call()
        except unreachable as error:
            if until is not None and time.monotonic() + pause > until:
                raise
            log.warning("%s Trying again in %.1f s.", error.message, pause)
        if stop.wait(pause):
            raise Cancelled("Stopped while there was no answer.")
        pause = min(2 * pause, longest)
