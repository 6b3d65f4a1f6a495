"""Numbers for the messages that go out together: people call that a round."""

import threading

from proxy.fleet.messages import Instruction

# A group may have any name; a longer number is no round.
_MOST_DIGITS = 9


def title_of(message_type: str, group_id: str, step: int) -> str:
    """Return a message's title, for people: "train 3"."""
    return f"{message_type} {group_id or step}"


def round_of(group_id: str, step: int) -> int:
    """Return a message's round: the group's, which older strategies number; else its step."""
    numbered = group_id.isascii() and group_id.isdecimal() and len(group_id) <= _MOST_DIGITS
    return int(group_id) if numbered else step


class Steps:
    """Numbers the messages of each run and type: those that go out together have the same number.

    A station gets one of them, at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[tuple[int, str], tuple[int, set[str]]] = {}

    def number(self, station: str, instruction: Instruction) -> int:
        """Return the step of a message that was just pulled for a station."""
        key = (instruction.metadata.run_id, instruction.metadata.message_type)
        with self._lock:
            step, stations = self._latest.get(key, (1, set()))
            if station in stations:
                step, stations = step + 1, set()
            self._latest[key] = (step, stations | {station})
        return step
