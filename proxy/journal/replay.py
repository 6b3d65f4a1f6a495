"""A ServerApp that starts anew says again what it said: which of its messages are known. No I/O.

Each station's messages are compared in their order, by type and content. What is known is answered
from the journal; so the ServerApp reaches, without any training, the state in which it ended. If it
says something else, it is another run: nothing is guessed then.
"""

from collections import deque
from collections.abc import Sequence

from proxy.central.memory import Differs
from proxy.journal.history import Entry


class Replay:
    """What a ServerApp said before, and has yet to say again.

    Parameters
    ----------
    entries : Sequence[Entry]
        The messages, in their order.
    """

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._expected: dict[str, deque[Entry]] = {}
        for entry in entries:
            self._expected.setdefault(entry.station, deque()).append(entry)

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
        return expected.popleft()


def _told(name: str, before: Entry, entry: Entry) -> str:
    match name:
        case "message_type":
            return f"its type is {entry.message_type!r} instead of {before.message_type!r}"
        case "group_id":
            return f"its group is {entry.group_id!r} instead of {before.group_id!r}"
        case _:
            return f"the content (SHA-256 {entry.content:.12} instead of {before.content:.12})"
