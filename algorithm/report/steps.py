"""Who waited for whom: the messages of a run in time, step by step."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from algorithm.monitoring.outcome import Outcome
from proxy.central.report import MessageRecord

# The stages in their order, and what happens in each. What `carry` takes is both ways; half of it
# is drawn before the station's stages, half behind them.
STAGES: Mapping[str, str] = {
    "drain": "fetched from the SuperLink",
    "carry": "carried to the station and back",
    "handover": "handed to the SuperNode",
    "clientapp": "ClientApp at work",
    "collect": "reply collected",
    "store": "stored at the SuperLink",
}
_ORDER = (("drain", 1.0), ("carry", 0.5), ("handover", 1.0), ("clientapp", 1.0), ("collect", 1.0))
_BACK = (("carry", 0.5), ("store", 1.0))
# What is shorter takes no time, and what is longer is none: an axis has round numbers between.
_SHORTEST_SECONDS, _LONGEST_SECONDS = 1e-9, 1e8
_LATEST = 1e11


@dataclass(frozen=True)
class Bar:
    """One message in time.

    Attributes
    ----------
    record : MessageRecord
        The message.
    start, end : float
        In seconds since the first message was pulled.
    """

    record: MessageRecord
    start: float
    end: float

    def stages(self) -> list[tuple[str, float, float]]:
        """Return name, start and end of each stage, in their order."""
        stages, at = [], self.start
        for name, share in (*_ORDER, *_BACK):
            took = _clamped(self.record.seconds.get(name, 0.0)) * share
            if took > 0:
                stages.append((name, at, at + took))
                at += took
        return stages

    @property
    def longest_stage(self) -> str:
        """The stage that took longest; nothing if none was measured."""
        took = {name: self.record.seconds.get(name, 0.0) for name in STAGES}
        return max(took, key=lambda name: took[name]) if any(took.values()) else ""


@dataclass(frozen=True)
class Step:
    """Messages of one type that went out together: what people call a round.

    Attributes
    ----------
    title : str
        "train 3".
    bars : tuple[Bar, ...]
        Its messages, the one that was answered last at the end.
    """

    title: str
    bars: tuple[Bar, ...]

    @property
    def start(self) -> float:
        """When its first message was pulled."""
        return min(bar.start for bar in self.bars)

    @property
    def end(self) -> float:
        """When its last reply was stored."""
        return self.bars[-1].end

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start

    @property
    def slowest(self) -> Bar:
        """The message that all others waited for."""
        return self.bars[-1]

    @property
    def waited(self) -> float:
        """For how long the other stations waited, on average, in seconds."""
        others = self.bars[:-1]
        return sum(self.end - bar.end for bar in others) / len(others) if others else 0.0

    @property
    def errors(self) -> int:
        """How many of its replies are errors, or lost."""
        return sum(bool(bar.record.error) for bar in self.bars)

    @property
    def bytes_out(self) -> int:
        """What went to the stations, in bytes."""
        return sum(bar.record.bytes_out for bar in self.bars)

    @property
    def bytes_back(self) -> int:
        """What came back, in bytes."""
        return sum(bar.record.bytes_back for bar in self.bars)


@dataclass(frozen=True)
class Timeline:
    """All steps of a run.

    Attributes
    ----------
    steps : tuple[Step, ...]
        In the order of their starts.
    clock : bool
        Whether it is known when they were; if not, they are laid one after another.
    began : float
        When the first message was pulled, in seconds since the epoch; 0 if that is not known.
    spent : Mapping[str, float]
        Seconds by stage of the messages that the others waited for, which make up the run.
    outside : float
        The rest of the run's seconds: start and end, and what the ServerApp does between steps.
    """

    steps: tuple[Step, ...]
    clock: bool
    began: float
    spent: Mapping[str, float]
    outside: float

    @property
    def seconds(self) -> float:
        """From the first message's start to the last one's end."""
        return max((step.end for step in self.steps), default=0.0)


def timeline_of(outcome: Outcome) -> Timeline:
    """Return the messages of a run in time."""
    groups: dict[tuple[str, str, int], list[MessageRecord]] = defaultdict(list)
    for record in outcome.messages:
        groups[record.flower_run, record.message_type, record.step].append(record)
    clock = bool(groups) and all(0 < record.at < _LATEST for record in outcome.messages)
    began = min((record.at for record in outcome.messages), default=0.0) if clock else 0.0
    steps: list[Step] = []
    at = 0.0
    for records in groups.values():
        bars = [_bar(record, record.at - began if clock else at) for record in records]
        steps.append(Step(records[0].title, tuple(sorted(bars, key=lambda bar: bar.end))))
        at = max(at, steps[-1].end)
    steps.sort(key=lambda step: step.start)
    spent: dict[str, float] = defaultdict(float)
    for step in steps:
        for name, start, end in step.slowest.stages():
            spent[name] += end - start
    outside = max(0.0, _clamped(outcome.seconds) - _covered(steps))
    return Timeline(tuple(steps), clock, began, spent, outside)


def _bar(record: MessageRecord, start: float) -> Bar:
    took = sum(_clamped(record.seconds.get(name, 0.0)) for name in STAGES)
    return Bar(record, start, start + took)


def _clamped(seconds: float) -> float:
    return min(seconds, _LONGEST_SECONDS) if seconds > _SHORTEST_SECONDS else 0.0


def _covered(steps: Sequence[Step]) -> float:
    """Return for how many seconds a step went on; those that overlap count once."""
    covered, until = 0.0, 0.0
    for step in steps:
        covered += max(0.0, step.end - max(step.start, until))
        until = max(until, step.end)
    return covered
