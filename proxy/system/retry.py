"""Calling a SuperLink, or another server, that may be out of reach for a while."""

import logging
import random
import threading
from collections.abc import Callable
from typing import TypeVar

from proxy.clock import Deadline
from proxy.errors import BridgeError, Cancelled, Unreachable

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_PAUSE_SECONDS = (0.5, 10.0)
# Stations that lost the same server at the same moment shall not all come back at the same moment.
_JITTER = (0.75, 1.25)


def retrying(
    call: Callable[[], Answer],
    stop: threading.Event,
    deadline: Deadline,
    unreachable: type[BridgeError] = Unreachable,
) -> Answer:
    """Return what `call` returns, trying again while the other side is unreachable.

    Parameters
    ----------
    call : Callable
        May be called several times; it is called once even if the deadline has passed.
    stop : threading.Event
        Ends the waiting.
    deadline : Deadline
        When to give up.
    unreachable : type[BridgeError]
        The exception by which `call` says that it may be called again.

    Raises
    ------
    Cancelled
        If `stop` was set before there was an answer.
    Unreachable
        Or what `unreachable` names, if there was no answer in time.
    """
    pause, longest = _PAUSE_SECONDS
    while True:
        try:
            return call()
        except unreachable as error:
            seconds = pause * random.uniform(*_JITTER)  # noqa: S311 - no secret
            if deadline.left < seconds:
                raise
            log.warning("%s Trying again until there is an answer.", error.message)
        if deadline.clock.wait(stop, seconds):
            raise Cancelled("The bridge was stopped while there was no answer.")
        pause = min(2 * pause, longest)
