"""Numbers for the messages that go out together: people call that a round."""

import threading
from dataclasses import dataclass, field

from proxy.fleet.messages import Instruction

# A group may have any name; a longer number is no round.
_MOST_DIGITS = 9
# Of the messages that go out together, each is made so soon after the one before.
_TOGETHER_SECONDS = 0.05


def title_of(message_type: str, group_id: str, step: int) -> str:
    """Return a message's title, for people: "train 3"."""
    return f"{message_type} {group_id or step}"


def round_of(group_id: str, step: int) -> int:
    """Return a message's round: the group's, which older strategies number; else its step."""
    numbered = group_id.isascii() and group_id.isdecimal() and len(group_id) <= _MOST_DIGITS
    return int(group_id) if numbered else step


@dataclass
class _Step:
    """The messages that go out together.

    Attributes
    ----------
    number : int
        Its own.
    began, ended : float
        When the first was pulled, and the last one that is at its end came there; by our clock.
    made : float
        When the last one was made; by the ServerApp's clock.
    stations : set[str]
        Which have one.
    under_way : int
        How many are not at their end.
    """

    number: int
    began: float
    ended: float
    made: float
    stations: set[str] = field(default_factory=set)
    under_way: int = 0

    def is_over_for(self, station: str, made: float) -> bool:
        """Whether a message is of a later step.

        That is so if its station has one of this step. Also if the ServerApp made it with the
        replies to all of these at hand: then it did so after as much time, at least, as those took.
        """
        if station in self.stations:
            return True
        took = max(self.ended - self.began, _TOGETHER_SECONDS)
        return not self.under_way and made - self.made >= took


class Steps:
    """Numbers the messages of each run and type: those that go out together have the same number.

    A station gets one of them, at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[tuple[int, str], _Step] = {}

    def number(self, station: str, instruction: Instruction, now: float) -> int:
        """Return the step of a message that was just pulled for a station; `now` is monotonic."""
        made = instruction.metadata.created_at
        with self._lock:
            step = self._latest.get(_kind(instruction))
            if step is None or step.is_over_for(station, made):
                step = _Step(step.number + 1 if step else 1, now, now, made)
                self._latest[_kind(instruction)] = step
            step.stations.add(station)
            step.under_way += 1
            step.made = max(step.made, made)
        return step.number

    def ended(self, number: int, instruction: Instruction, now: float) -> None:
        """Note that a message of a step has its reply, or will have none."""
        with self._lock:
            step = self._latest[_kind(instruction)]
            if step.number == number:
                step.under_way, step.ended = step.under_way - 1, now


def _kind(instruction: Instruction) -> tuple[int, str]:
    return instruction.metadata.run_id, instruction.metadata.message_type
