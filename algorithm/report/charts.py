"""Charts as inline SVG that is stretched to its place; all text stands beside it, in HTML.

So one page is sharp at every width, in light, dark and print: colours are the page's, and lines,
dots and letters keep their size. A plotting library's SVG has its colours and letters in it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Lengths in the drawings, from left to right and from top to bottom.
WIDTH, HEIGHT = 1000, 400
_TICKS = 5
_MOST_DOTS = 25
# Values that differ by less are the same to the eye, and to the arithmetic of axes.
_SAME = 1e-9
_LARGE = 1e9


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in percent, and what stands there."""

    place: float
    label: str


@dataclass(frozen=True)
class Axis:
    """An axis from one number to another."""

    low: float
    high: float
    ticks: Sequence[Tick]

    def at(self, value: float, length: int) -> int:
        """Return a value's place on an axis of some length."""
        return round((value - self.low) / (self.high - self.low) * length)


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes
    ----------
    kind : str
        A class of the page's style sheet.
    path : str
        The line, in SVG's words.
    dots : str
        Its points.
    """

    kind: str
    path: str
    dots: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing with its axes."""

    x: Axis
    y: Axis
    lines: Sequence[Line]
    band: str = ""


def axis(
    values: Iterable[float], whole: bool = False, snug: bool = False, most: int = _TICKS
) -> Axis:
    """Return an axis on which all values have a place, with round numbers as its ticks.

    Parameters
    ----------
    values : Iterable[float]
        At least one; their squares are numbers, too.
    whole : bool
        Whether there is nothing between whole numbers.
    snug : bool
        Whether the axis ends with the values, or with round numbers.
    most : int
        How many ticks there may be, about.
    """
    given = list(values)
    low, high = min(given), max(given)
    if high - low <= max(abs(low), abs(high)) * _SAME:
        margin = 0.5 if whole and abs(low) < _LARGE else abs(low) * 0.1 or 0.5
        low, high = low - margin, high + margin
    step = _step((high - low) / most)
    if whole:
        step = max(1.0, step)
    if snug:
        first, last = math.ceil(low / step), math.floor(high / step)
    else:
        first, last = math.floor(low / step), math.ceil(high / step)
        low, high = first * step, last * step
    marks = [multiple * step for multiple in range(first, last + 1)]
    ticks = [Tick((mark - low) / (high - low) * 100, _label(mark, step)) for mark in marks]
    return Axis(low, high, ticks)


def curve_chart(
    rounds: Sequence[int],
    stations: Sequence[Mapping[int, float]],
    mean: Mapping[int, float],
    spread: tuple[Mapping[int, float], Mapping[int, float]],
    server: Mapping[int, float],
) -> Chart:
    """Return a metric by round.

    Parameters
    ----------
    rounds : Sequence[int]
        The rounds, in their order.
    stations : Sequence[Mapping[int, float]]
        The values of each station that gets a line.
    mean, spread, server
        What else is drawn, by round: the stations' mean, their lowest and highest, the server's.
    """
    low, high = spread
    each_value = [value for values in stations for value in values.values()]
    x = axis(rounds, whole=True, snug=True, most=8)
    y = axis([*each_value, *low.values(), *high.values(), *server.values()])

    def path(values: Mapping[int, float]) -> str:
        points = [
            (x.at(round_number, WIDTH), y.at(values[round_number], HEIGHT))
            for round_number in sorted(values)
        ]
        return "M" + "L".join(f"{across} {HEIGHT - up}" for across, up in points)

    def dots(values: Mapping[int, float]) -> str:
        if len(values) > _MOST_DOTS:
            return ""
        return "".join(
            f"M{x.at(round_number, WIDTH)} {HEIGHT - y.at(value, HEIGHT)}h0"
            for round_number, value in values.items()
        )

    lines = [
        Line(f"station c{number % 8}", path(values), dots(values))
        for number, values in enumerate(stations)
        if values
    ]
    if mean:
        lines.append(Line("mean", path(mean), dots(mean)))
    if server:
        lines.append(Line("server", path(server), dots(server)))
    # The lower edge is walked backwards, so that both edges make one shape.
    edge = [
        f"{x.at(round_number, WIDTH)} {HEIGHT - y.at(low[round_number], HEIGHT)}"
        for round_number in sorted(low)
    ][::-1]
    band = f"{path(high)}L{'L'.join(edge)}Z" if len(low) > 1 else ""
    return Chart(x, y, lines, band)


def _step(rough: float) -> float:
    """Return the next round number that is not smaller: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)


def _label(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits > 4 or abs(value) >= 1e6:
        return f"{value:.1e}" if value else "0"
    return f"{value:,.{digits}f}" if value else "0"
