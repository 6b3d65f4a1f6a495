"""Asks a station again for an answer, where the result of the function that has it may be lost.

A node of vantage6 5.0.3 that finds two functions ended at once sends one's result only; the other
stays "active" for ever. What was answered is kept at the station, so a small task fetches it. What
the station never heard of is brought once more: it trains no message twice.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proxy.carriers.answers import UNDER_WAY, UNHEARD
from proxy.errors import Cancelled, CarrierError, ServerUnreachable
from proxy.vantage6 import payload
from proxy.vantage6.server import Server

log = logging.getLogger(__name__)

# A short message has its answer sooner.
_FIRST_SECONDS = 8.0
# After a station said that it is at work; and no sooner than after a share of what it took so far.
_EVERY_SECONDS = 15.0
_SHARE = 0.05
_MOST_REST_SECONDS = 30.0
# The results of tasks that ask may be lost, too, several in a row on a busy node: another one is
# started beside them, and whichever is heard first tells. The longer none is, the more rarely.
_LOST_SECONDS = 3.0
_LOST_SHARE = 0.25
# What ends at a node at regular times must not meet every question.
_JITTER = (0.5, 1.25)
# Server and node move a large message, and its answer, about so fast on a busy machine.
_BYTES_PER_SECOND = 2_000_000
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
    size : int
        Of the message, in bytes. The answer may be as large.
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
        size: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.repeated = 0
        self._server = server
        self._ask = ask
        self._repeat = repeat
        self._clock = clock
        self._started = clock()
        self._moving = size / _BYTES_PER_SECOND
        self._due = self._started + _FIRST_SECONDS + self._moving
        # The tasks that ask and were not heard of, the oldest first, and when each was created.
        self._asked: dict[int, float] = {}
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
        for task in tuple(self._asked):
            try:
                if not self._server.save_result(task, path):
                    continue
                with payload.read(path) as result:
                    answer: Mapping[str, Any] = result.fields
            except (Cancelled, ServerUnreachable):
                raise
            except CarrierError as error:
                log.debug("a task that asks for an answer failed: %s", error)
                self._rest_after(task, _EVERY_SECONDS)
                continue
            if answer not in (UNHEARD, UNDER_WAY):
                return True
            self._note(task, answer == UNHEARD)
        if self._clock() >= self._due:
            self._ask_again()
        return False

    def _note(self, task: int, unheard: bool) -> None:
        """Note that a station has no answer yet, or never heard of the message."""
        self._unheard = self._unheard + 1 if unheard else 0
        if self._unheard >= _UNHEARD:  # more, if the server could not be reached
            self.repeated, self._unheard = self._repeat(), 0
        self._rest_after(task, _UNHEARD_SECONDS if self._unheard else _EVERY_SECONDS)

    def _rest_after(self, task: int, seconds: float) -> None:
        """Ask no sooner than in some seconds; nobody waits for older tasks than this one."""
        now, asked_at = self._clock(), self._asked[task]
        self._asked = {number: at for number, at in self._asked.items() if at > asked_at}
        # A node that takes long to answer is not helped by more questions.
        took = min(now - asked_at, _MOST_REST_SECONDS)
        self._due = now + max(seconds, _SHARE * (now - self._started), took)

    def _ask_again(self) -> None:
        now = self._clock()
        if not self._waits():
            try:
                self._asked[self._ask()] = now
            except (Cancelled, ServerUnreachable):
                raise
            except CarrierError as error:
                log.debug("no task that asks for an answer can be created: %s", error)
                self._due = now + _EVERY_SECONDS
                return
        first = next(iter(self._asked.values()))
        rest = max(_LOST_SECONDS, _LOST_SHARE * (now - first))
        self._due = now + self._moving + rest * random.uniform(*_JITTER)  # noqa: S311 - no secret

    def _waits(self) -> bool:
        """Whether the last task that asks has not been started yet: its node may be offline."""
        if not self._asked:
            return False
        run = self._server.run(self._server.run_of(list(self._asked)[-1]))
        return run.status.name == _PENDING
