"""Asks a station again for an answer, where the result of the function that has it may be lost.

A node of vantage6 5.0.3 that finds two functions ended at once sends one's result only; the other
stays "active" for ever. What was answered is kept at the station, so a small task fetches it. What
the station never heard of is brought once more: it trains no message twice.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from proxy.carriers.answers import UNDER_WAY, UNHEARD
from proxy.errors import Cancelled, CarrierError, ServerUnreachable
from proxy.vantage6 import payload
from proxy.vantage6.server import Server

log = logging.getLogger(__name__)

# After so long without an answer, and then each time after a share of the time that it took so far.
_EVERY_SECONDS = 15.0
_SHARE = 0.05
_MOST_REST_SECONDS = 30.0
# The result of the asking task may be lost, too.
_LOST_SECONDS = 10.0
# A function that has only just begun may not have its message yet.
_UNHEARD = 2
_UNHEARD_SECONDS = 3.0
_PENDING = "pending"


class Asking:
    """Asks for one message's answer, from time to time.

    Parameters
    ----------
    server : Server
        Where the tasks are.
    ask : Callable[[], int]
        Creates a task that asks; returns its number.
    repeat : Callable[[], int]
        Creates a task that brings the message once more; returns its number.
    clock : Callable[[], float]
        The time in seconds.

    Attributes
    ----------
    repeated : int
        The task that brought the message once more; 0 if there is none.
    """

    def __init__(
        self,
        server: Server,
        ask: Callable[[], int],
        repeat: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.repeated = 0
        self._server = server
        self._ask = ask
        self._repeat = repeat
        self._clock = clock
        self._started = clock()
        self._due = self._started + _EVERY_SECONDS
        self._asked_at = 0.0
        self._task = 0
        self._unheard = 0

    def answered(self, path: Path) -> bool:
        """Whether the answer, or an error in its place, is in a file now; asks when it is time.

        Raises
        ------
        ServerUnreachable
            If the server does not answer.
        Cancelled
            If nobody wants the answer any more.
        """
        try:
            return self._look(path)
        except (Cancelled, ServerUnreachable):
            raise
        except CarrierError as error:
            log.debug("a task that asks for an answer failed: %s", error)
            self._ask_again(_EVERY_SECONDS)
            return False

    def _look(self, path: Path) -> bool:
        now = self._clock()
        if not self._task:
            if now >= self._due:
                self._task, self._asked_at = self._ask(), now
            return False
        if not self._server.save_result(self._task, path):
            if now - self._asked_at > _LOST_SECONDS and not self._waits():
                self._ask_again(0.0)
            return False
        with payload.read(path) as result:
            found = result.fields
        if found not in (UNHEARD, UNDER_WAY):
            return True
        self._unheard = self._unheard + 1 if found == UNHEARD else 0
        if self._unheard == _UNHEARD:
            self.repeated, self._unheard = self._repeat(), 0
        self._ask_again(_UNHEARD_SECONDS if self._unheard else _EVERY_SECONDS)
        return False

    def _waits(self) -> bool:
        """Whether the task that asks has not been started yet: its node may be offline."""
        run = self._server.run(self._server.run_of(self._task))
        return run.status.name == _PENDING

    def _ask_again(self, seconds: float) -> None:
        now = self._clock()
        took = now - self._asked_at if self._task else 0.0
        # A node that takes long to answer is not helped by more questions.
        pause = max(seconds, _SHARE * (now - self._started), min(took, _MOST_REST_SECONDS))
        self._task, self._due = 0, now + pause
