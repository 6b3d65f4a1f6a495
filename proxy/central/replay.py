"""A ServerApp that starts anew says again what it said: which of its messages are known. No I/O.

Each station's messages are compared in their order, by type and content. What is known is answered
from the journal; so the ServerApp reaches, without any training, the state in which it ended. If it
says something else, it is another run: nothing is guessed then.

Answers are given in the order in which they became known, and not before the ServerApp has said
what it had said by then: one that goes on without a reply, or asks whoever replied first, does so
again.
"""

from collections import deque
from collections.abc import Sequence

from proxy.central.history import Entry
from proxy.errors import BridgeError


class Differs(BridgeError):
    """A ServerApp that was started again does not say what it said before."""

    code = "differs"


class Replay:
    """What a ServerApp said before, and has yet to say again.

    Parameters
    ----------
    entries : Sequence[Entry]
        The messages, in their order.
    answers : Sequence[Entry]
        Those that have an answer, in the order in which it became known.
    """

    def __init__(self, entries: Sequence[Entry] = (), answers: Sequence[Entry] = ()) -> None:
        self._expected: dict[str, deque[Entry]] = {}
        for entry in entries:
            self._expected.setdefault(entry.station, deque()).append(entry)
        self._unsaid = deque(entries)  # up to the first that was not said again
        self._said: set[Entry] = set()  # those behind it that were
        self._count = 0  # those before it
        self._ungiven = list(answers)

    @property
    def replies(self) -> set[str]:
        """The names of the reply bundles to what it has yet to say again."""
        return {entry.reply for entries in self._expected.values() for entry in entries}

    def next(self, entry: Entry) -> Entry | None:
        """Return the message before that this one says again; None if it is a new one.

        Raises
        ------
        Differs
            If the ServerApp said something else before. It says what differs.
        """
        expected = self._expected.get(entry.station)
        if not expected:
            return None
        before = expected[0]
        differing = [
            name
            for name in ("message_type", "group_id", "content")
            if getattr(before, name) != getattr(entry, name)
        ]
        if differing:
            raise Differs(
                f"The ServerApp's message {entry.title} for station {entry.station} differs from"
                f" the one that it sent before: {_told(differing[0], before, entry)}.",
                "An app goes on only if it says the same again: let it use no clock, and no random"
                " numbers without a seed. Another reason may be a station that was offline then, or"
                " replies in another order.",
            )
        self._said.add(before)
        while self._unsaid and self._unsaid[0] in self._said:
            self._said.remove(self._unsaid.popleft())
            self._count += 1
        return expected.popleft()

    def may_be_given(self, entry: Entry) -> bool:
        """Whether it is a message's turn to be answered; new ones have it when all others had."""
        if entry not in self._ungiven:
            return not self._ungiven
        return entry is self._ungiven[0] and self._count >= entry.after

    def forget_order(self) -> None:
        """Let all messages be answered as they come."""
        self._ungiven.clear()

    def give(self, entry: Entry) -> None:
        """Note that a message has its answer again, or will have none."""
        if entry in self._ungiven:
            self._ungiven.remove(entry)


def _told(name: str, before: Entry, entry: Entry) -> str:
    match name:
        case "message_type":
            return f"its type is {entry.message_type!r} instead of {before.message_type!r}"
        case "group_id":
            return f"its group is {entry.group_id!r} instead of {before.group_id!r}"
        case _:
            return f"the content (SHA-256 {entry.content:.12} instead of {before.content:.12})"
