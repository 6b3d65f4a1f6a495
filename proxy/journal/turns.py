"""In which order the messages of a run that goes on are answered: as before.

An answer is given when all that were given before it have been, and not before the ServerApp has
said what it had said by then: one that goes on without a reply, or asks whoever replied first, does
so again.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence

from proxy.clock import Deadline
from proxy.journal.history import Entry

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
# After which a reply that waits for another station says so.
_QUIET_SECONDS = 10.0


class Turns:
    """Whose turn it is. Safe to use from several threads.

    Parameters
    ----------
    entries : Sequence[Entry]
        The messages, in their order.
    answers : Sequence[Entry]
        Those whose answer was given, in that order.
    """

    def __init__(self, entries: Sequence[Entry] = (), answers: Sequence[Entry] = ()) -> None:
        self._unsaid = deque(entries)  # up to the first that was not said again
        self._said: set[Entry] = set()  # those behind it that were
        self._count = 0  # those before it
        self._ungiven = list(answers)
        self._changes = 0
        self._changed = threading.Condition()

    def say(self, entry: Entry) -> None:
        """Note that the ServerApp has said a message again."""
        with self._changed:
            self._said.add(entry)
            while self._unsaid and self._unsaid[0] in self._said:
                self._said.remove(self._unsaid.popleft())
                self._count += 1
            self._note_change()

    def give(self, entry: Entry) -> None:
        """Note that a message has its answer again, or will have none."""
        with self._changed:
            if entry in self._ungiven:
                self._ungiven.remove(entry)
                self._note_change()

    def forget(self) -> None:
        """Let all messages be answered as they come."""
        with self._changed:
            self._unsaid.clear()
            self._ungiven.clear()
            self._note_change()

    def _note_change(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def has_come(self, entry: Entry) -> bool:
        """Whether it is a message's turn to be answered.

        One that had no answer yet has it when the ServerApp is as far as it was without.
        """
        if entry not in self._ungiven:
            return not self._ungiven and not self._unsaid
        return entry is self._ungiven[0] and self._count >= entry.after

    def wait(self, entry: Entry, patience: float, expiry: Deadline, stop: threading.Event) -> None:
        """Wait for a message's turn. If none comes for long, all are answered as they come.

        Parameters
        ----------
        entry : Entry
            The message.
        patience : float
            Seconds within which something comes: a turn, or what the ServerApp says again. A
            station that was there when the run began may be gone.
        expiry : Deadline
            When the message expires; also on whose clock all is measured.
        stop : threading.Event
            Ends the waiting.
        """
        with self._changed:
            told = False
            seen, until = self._changes, Deadline.after(patience, expiry.clock)
            while not self.has_come(entry) and not stop.is_set():
                if self._changes != seen:
                    seen, until = self._changes, Deadline.after(patience, expiry.clock)
                if until.passed or expiry.passed:
                    log.warning(
                        "station %s: %s is answered in another order than before the restart",
                        *(entry.station, entry.title),
                    )
                    self.forget()
                    return
                first = next(iter(self._ungiven), entry)
                if not told and first is not entry and until.left < patience - _QUIET_SECONDS:
                    told = True
                    log.warning(
                        "station %s: the reply to %s waits for that of station %s to %s, which came"
                        " first before the restart",
                        *(entry.station, entry.title, first.station, first.title),
                    )
                self._changed.wait(_LOOK_SECONDS)
