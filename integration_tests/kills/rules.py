"""What may come of a killed process, and what has to hold of a run whatever was killed.

The app is `faults` on two stations: each adds its number to the last round's average. So whatever
replies are errors, all other values of a run are known beforehand, bit by bit.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STATIONS = 2
# What a station has: a kill costs one error reply, to the message at hand.
_OF_A_STATION = frozenset(
    {"host", "courier", "ClientApp", "SuperNode", "SuperNode's SuperExec", "station's node"}
)
# Nothing here takes so long: something was waited for that did not come.
_LATE = re.compile(r"deadline|in time")
# Only the deadline ends a message then: vantage6 shows as active what a node that was killed knows
# nothing of.
_MAKE_LATE = frozenset({"station's node"})


class Broken(Exception):
    """A promise was broken; says which."""


@dataclass
class Kill:
    """One kill.

    Attributes
    ----------
    kind : str
        What was killed.
    moment : str
        When: a time, or how far the journal had come.
    at_round : int
        The last round that a station had begun to train.
    started_again : int
        How often something had to be started again after it, by an operator.
    errors : int
        The error replies that it cost.
    run_failed : bool
        Whether it ended the run for good.
    message_lost : bool
        Whether a message was handed out and nobody knows of it: it has to expire.
    """

    kind: str
    moment: str
    at_round: int
    started_again: int = 0
    errors: int = 0
    run_failed: bool = False
    message_lost: bool = False

    @property
    def outcome(self) -> str:
        """What came of it, in words."""
        if self.run_failed:
            return "the run failed, with an error that says so"
        if self.message_lost:
            return "a message was lost as it was pulled: it has to expire"
        words = ["started again, it went on where it was"] if self.started_again else []
        if self.errors:
            words.append("error replies" if self.errors > 1 else "an error reply")
        return "; ".join(words) or "nobody noticed"


@dataclass(frozen=True)
class Trained:
    """What ClientApps wrote down: one line for each training that they began."""

    lines: Sequence[tuple[str, int, int]]

    @classmethod
    def read(cls, *paths: Path) -> "Trained":
        """Read it; nothing yet if a file is not there."""
        found = [path.read_text().splitlines() for path in paths if path.exists()]
        words = [line.split() for lines in found for line in lines]
        return cls([(message, int(station), int(number)) for message, station, number in words])

    @property
    def last_round(self) -> int:
        """The last round that a station began to train; 0 if none."""
        return max((number for _, _, number in self.lines), default=0)

    def check(self) -> None:
        """Raise `Broken` if a message was trained twice."""
        messages = [message for message, _, _ in self.lines]
        if twice := {each for each in messages if messages.count(each) > 1}:
            raise Broken(f"messages were trained twice: {sorted(twice)}")


def check_result(text: str, rounds: int, kills: Sequence[Kill], central_may_cost: int) -> None:
    """Hold the result of a run that ended well against what it has to be; counts the errors.

    Parameters
    ----------
    text : str
        What the ServerApp wrote.
    rounds : int
        How many rounds it had.
    kills : Sequence[Kill]
        In their order.
    central_may_cost : int
        How many error replies the kill of a central may cost.

    Raises
    ------
    Broken
        If it is another result.
    """
    found, value = json.loads(text)["rounds"], 0.0
    if len(found) != rounds:
        raise Broken(f"the result has {len(found)} rounds instead of {rounds}")
    for number, each in enumerate(found, start=1):
        replies = each["replies"]
        if len(replies) != STATIONS:
            raise Broken(f"round {number} has {len(replies)} replies instead of {STATIONS}")
        good = [reply for reply in replies if reply["error"] is None]
        if len({reply["partition"] for reply in good}) != len(good):
            raise Broken(f"round {number} has two replies of one station")
        for reply in good:
            if reply["value"] != (due := value + reply["partition"] + 1):
                raise Broken(f"round {number} has a reply {reply['value']!r} instead of {due!r}")
        for reply in replies:
            if reply["error"] is not None:
                _blame(reply["reason"], number, kills, central_may_cost)
        if good:
            value = sum(reply["value"] for reply in good) / len(good)


def _blame(reason: str, number: int, kills: Sequence[Kill], central_may_cost: int) -> None:
    """Put an error reply down to the last kill before it that may have cost one."""
    late = _LATE.search(reason) is not None
    for kill in reversed(kills):
        before = kill.at_round <= number and (not late or kill.kind in _MAKE_LATE)
        if before and kill.errors < _may_cost(kill.kind, central_may_cost):
            kill.errors += 1
            return
    raise Broken(f"round {number} has an error reply that no kill explains: {reason}")


def _may_cost(kind: str, central_may_cost: int) -> int:
    kept = kind.removeprefix("keeper of ")
    if kept == "central":
        return central_may_cost
    return int(kept in _OF_A_STATION)
