"""The timeline's drawing: a lane for each station, in which its messages lie one after another."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from algorithm.report.charts import Axis, axis
from algorithm.report.steps import Bar, Timeline
from algorithm.report.words import seconds

# The drawing is so many units wide; what is shorter than one of them is not drawn.
UNITS = 2000
_MOST_LANES = 60
# So many messages are told apart by the pointer.
_MOST_TOLD = 600
_MIDDLE = 6
_NAME_LENGTH = 48


@dataclass(frozen=True)
class Mark:
    """A part of a lane: lines by the style sheet's classes, and what the pointer is told."""

    title: str
    paths: dict[str, str]


@dataclass(frozen=True)
class Lane:
    """A station's lane."""

    station: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Lanes:
    """All lanes, and the axis below them.

    Attributes
    ----------
    hidden : int
        How many stations have no lane.
    """

    lanes: Sequence[Lane]
    x: Axis
    hidden: int

    @property
    def name_length(self) -> int:
        """How many characters the longest name has, within bounds."""
        return min(max((len(lane.station) for lane in self.lanes), default=0), _NAME_LENGTH)


def lanes_of(timeline: Timeline) -> Lanes:
    """Return the drawing; those stations have a lane that the others waited for longest."""
    x = axis([0.0, timeline.seconds or 1.0], snug=True, most=7)
    bars: dict[str, list[tuple[Bar, float]]] = defaultdict(list)
    held_up: dict[str, float] = defaultdict(float)
    for step in timeline.steps:
        for bar in step.bars:
            bars[bar.record.station].append((bar, step.end))
            held_up[bar.record.station] += bar.end - step.start
    shown = set(sorted(bars, key=lambda station: -held_up[station])[:_MOST_LANES])
    told = sum(len(step.bars) for step in timeline.steps) <= _MOST_TOLD
    lanes = [
        Lane(station, [_told(bar_and_end, x) for bar_and_end in bars[station]])
        if told
        else Lane(station, [Mark("", _paths(bars[station], x))])
        for station in sorted(shown)
    ]
    return Lanes(lanes, x, len(bars) - len(shown))


def _told(bar: tuple[Bar, float], x: Axis) -> Mark:
    """Return one message's mark."""
    message, step_end = bar
    record = message.record
    title = f"{record.title} at {record.station}: {seconds(message.end - message.start)}"
    if message.longest_stage:
        title += f", most of it in {message.longest_stage}"
    if step_end - message.end >= 0.01:
        title += f"; then waited {seconds(step_end - message.end)} for others"
    if record.error:
        title += "; an error"
    return Mark(title, _paths([bar], x))


def _paths(bars: Sequence[tuple[Bar, float]], x: Axis) -> dict[str, str]:
    """Return the lines of some messages of a station, by the style sheet's classes."""
    paths: dict[str, str] = defaultdict(str)
    for bar, step_end in bars:
        for name, start, end in (*bar.stages(), ("waits", bar.end, step_end)):
            first, last = x.at(start, UNITS), x.at(end, UNITS)
            if last > first:
                paths[name] += f"M{first} {_MIDDLE}h{last - first}"
        if bar.record.error:
            # Over all of the message, and in sight however short that is.
            first, last = x.at(bar.start, UNITS), x.at(bar.end, UNITS)
            paths["failed"] += f"M{first} {2 * _MIDDLE - 1}h{max(last - first, 4)}"
    return dict(paths)
