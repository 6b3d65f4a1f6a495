"""Which replies a ServerApp may take, and when: as before, where it is started again.

It is a part of `run_serverapp.py`, which loads it by its path: Python 3.9+, and it imports nothing
of the bridge.

What an app makes of replies may depend on which it got first, which at once, and which it went on
without. So it gets those that it had taken before in the same portions, each when it has sent as
many messages as it had by then, and waits in vain where it did. A reply that had come and was not
taken is there as long after its message as it was before, for an app that just looks for it.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence

# After which an app that does something else than before gets what is there.
_PATIENCE_SECONDS = 60.0


class Takes:
    """The replies that were taken, and those that may be. For one thread at a time.

    A message's name here is the id of its node, a slash, and how many that node had got before.

    Parameters
    ----------
    before : Iterable[tuple[int, Sequence[str], bool]]
        What was taken before, portion by portion: how many messages had been sent by then, the
        names of those to which the replies were, and whether these were waited for in vain.
    late : Mapping[str, float]
        Of messages whose replies had come and were not taken, by name: seconds from one to the
        other.

    Attributes
    ----------
    sent : int
        How many messages have been sent.
    """

    def __init__(
        self, before: Iterable[tuple[int, Sequence[str], bool]] = (), late: Mapping[str, float] = {}
    ) -> None:
        self.sent = 0
        self._portions = deque(before)
        self._late = late
        self._sent_to: Counter[int] = Counter()
        # Of messages whose replies were not taken yet: their names, and when those may be.
        self._names: dict[str, str] = {}
        self._times: dict[str, float] = {}
        self._changed = time.monotonic()

    def send(self, message_id: str, node_id: int) -> None:
        """Note that a message is sent."""
        name = f"{node_id}/{self._sent_to[node_id]}"
        self.sent += 1
        self._sent_to[node_id] += 1
        self._changed = time.monotonic()
        self._names[message_id] = name
        self._times[message_id] = self._changed + self._late.get(name, 0.0)

    def open(self, message_ids: Collection[str]) -> list[str]:
        """Return which replies may be taken now, of those that are wanted and there.

        They are in the order of before, or else as given: ids are new ones, and an app may have
        them in a set.
        """
        now = time.monotonic()
        if self._portions:
            sent, names, in_vain = self._portions[0]
            there = {self._names[each]: each for each in message_ids}
            if not in_vain and self.sent >= sent and there.keys() >= set(names):
                return [there[name] for name in names]
            if not message_ids or now < self._changed + _PATIENCE_SECONDS:
                return []
            self._portions.clear()
        return [each for each in message_ids if self._times[each] <= now]

    def take(self, message_ids: Collection[str]) -> list[str]:
        """Note that replies are taken; returns their names, none if they were taken so before."""
        names = [self._names[each] for each in message_ids]
        self.forget(message_ids)
        self._changed = time.monotonic()
        if self._portions:
            self._portions.popleft()
            return []
        return names

    def hasten(self, message_ids: Iterable[str], until: float | None) -> None:
        """Note that the app waits until then: what comes in time it may have at once."""
        for message_id in message_ids:
            at = self._times.get(message_id)
            if at is not None and (until is None or at < until):
                self._times[message_id] = 0.0

    def waits_in_vain(self, message_ids: Iterable[str]) -> bool:
        """Whether the app waited for these replies in vain, and took others since."""
        if not self._is_in_vain(message_ids):
            return False
        self._changed = time.monotonic()  # nobody has to be patient with it
        return len(self._portions) > 1

    def give_up(self, message_ids: Iterable[str]) -> list[str]:
        """Note that these are not waited for any longer; returns their names, as `take` does."""
        if self._is_in_vain(message_ids):
            self._portions.popleft()
            return []
        return [] if self._portions else sorted(self._names_of(message_ids))

    def _is_in_vain(self, message_ids: Iterable[str]) -> bool:
        if not self._portions:
            return False
        sent, names, in_vain = self._portions[0]
        return in_vain and self.sent >= sent and set(names) == self._names_of(message_ids)

    def _names_of(self, message_ids: Iterable[str]) -> set[str]:
        return {self._names[each] for each in message_ids if each in self._names}

    def forget(self, message_ids: Iterable[str]) -> None:
        """Note that nobody waits for the replies to some messages any more."""
        for message_id in message_ids:
            del self._names[message_id], self._times[message_id]
