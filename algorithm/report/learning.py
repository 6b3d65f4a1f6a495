"""What was learned: the metrics in the replies, and the ServerApp's own, by round."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from algorithm.report.reading.results import Results

# By what Flower's strategies weight (flwr 1.21 to 1.42, `weighted_by_key` of `FedAvg`).
_WEIGHT = "num-examples"
SERVER = "server"
_MOST_ROUNDS = 300
# Beyond these a chart has no numbers to draw with.
_LARGEST, _SMALLEST = 1e100, 1e-100


@dataclass
class Curve:
    """One metric by round.

    Attributes
    ----------
    key : str
        The metric.
    message_type : str
        Of the replies that have it; `SERVER` if only the ServerApp has.
    rounds : list[int]
        Those that are shown: at most 300, evenly spaced.
    stations : dict[str, dict[int, float]]
        Values by station and round.
    mean, low, high : dict[int, float]
        Over the stations, by round.
    weighted : bool
        Whether the means are weighted by examples, as Flower's own.
    server : Mapping[int, float]
        The ServerApp's own, by round.
    """

    key: str
    message_type: str
    rounds: list[int] = field(default_factory=list)
    stations: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    mean: dict[int, float] = field(default_factory=dict)
    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)
    weighted: bool = False
    server: Mapping[int, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it: "accuracy (evaluate)"."""
        return f"{self.key} ({self.message_type})"

    @property
    def last(self) -> float | None:
        """The mean of the last round, or what the server says there."""
        of = self.mean or self.server
        return of[max(of)] if of else None


@dataclass(frozen=True)
class Learning:
    """All metrics of a run.

    Attributes
    ----------
    curves : Sequence[Curve]
        Those that change, losses first.
    constant : Mapping[str, Mapping[str, float]]
        Those that a station always answers alike, by key and station.
    """

    curves: Sequence[Curve]
    constant: Mapping[str, Mapping[str, float]]


def learning_of(results: Results) -> Learning:
    """Return the metrics of a run by round."""
    values: dict[tuple[str, str], dict[int, dict[str, tuple[float, float]]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for record in results.outcome.messages:
        if not record.error:
            weight = max(_drawn(record.metrics.get(_WEIGHT, 0.0)), 0.0)
            for key, value in record.metrics.items():
                by_round = values[record.message_type, key]
                by_round[record.round_number][record.station] = (_drawn(value), weight)
    curves, constant = [], {}
    for (message_type, key), by_round in values.items():
        first = _constant(by_round)
        if first is not None:
            constant[key] = first
        else:
            curves.append(_curve(key, message_type, by_round))
    for message_type, metrics in results.aggregated.items():
        curves += [
            _aggregated(key, message_type, by_round)
            for key, by_round in metrics.items()
            if len(by_round) == 1 or len(set(by_round.values())) > 1
        ]
    _add_server(curves, results.server)
    curves.sort(key=_order)
    return Learning(curves, constant)


def _drawn(value: float) -> float:
    """Return a number that can be drawn."""
    return 0.0 if abs(value) < _SMALLEST else float(min(max(value, -_LARGEST), _LARGEST))


def _constant(by_round: Mapping[int, Mapping[str, tuple[float, float]]]) -> dict[str, float] | None:
    """Return each station's value, if none of them ever changes; None if one does."""
    first: dict[str, float] = {}
    for stations in by_round.values():
        for station, (value, _) in stations.items():
            if first.setdefault(station, value) != value:
                return None
    return first if len(by_round) > 1 else None


def _curve(
    key: str, message_type: str, by_round: Mapping[int, Mapping[str, tuple[float, float]]]
) -> Curve:
    curve = Curve(key, message_type, _spread_out(sorted(by_round)))
    curve.weighted = all(
        weight > 0 for stations in by_round.values() for _, weight in stations.values()
    )
    for number in curve.rounds:
        stations = by_round[number]
        weights = [weight if curve.weighted else 1.0 for _, weight in stations.values()]
        values = [value for value, _ in stations.values()]
        parts = (value * weight for value, weight in zip(values, weights, strict=True))
        curve.mean[number] = math.fsum(parts) / math.fsum(weights)
        curve.low[number], curve.high[number] = min(values), max(values)
        for station, (value, _) in stations.items():
            curve.stations[station][number] = value
    return curve


def _aggregated(key: str, message_type: str, means: Mapping[int, float]) -> Curve:
    rounds = _spread_out(sorted(means))
    return Curve(
        key,
        message_type,
        rounds,
        mean={round_number: _drawn(means[round_number]) for round_number in rounds},
    )


def _add_server(curves: list[Curve], server: Mapping[str, Mapping[int, float]]) -> None:
    """Lay the ServerApp's metrics over the stations' of the same name."""
    for key, by_round in server.items():
        same = [curve for curve in curves if _plain(curve.key) == _plain(key)]
        # What is evaluated is compared with what is evaluated.
        same.sort(key=lambda curve: curve.message_type != "evaluate")
        if same:
            curve = same[0]
        else:
            curve = Curve(key, SERVER)
            curves.append(curve)
        curve.rounds = _spread_out(sorted({*curve.rounds, *by_round}))
        shown = set(curve.rounds) & set(by_round)
        curve.server = {
            round_number: _drawn(by_round[round_number]) for round_number in sorted(shown)
        }


def _plain(key: str) -> str:
    """Return a metric's name without what it was measured on."""
    return key.lower().removeprefix("eval_").removeprefix("val_").removeprefix("test_")


def _order(curve: Curve) -> tuple[int, str, str]:
    """Losses first, then accuracies, then the rest; evaluation before training."""
    key = curve.key.lower()
    place = 0 if "loss" in key else 1 if "acc" in key else 2
    return (place + 3 * (curve.message_type == "train"), key, curve.message_type)


def _spread_out(rounds: list[int]) -> list[int]:
    """Return rounds, the first and the last among them, not more than are shown."""
    if len(rounds) <= _MOST_ROUNDS:
        return rounds
    step = (len(rounds) - 1) / (_MOST_ROUNDS - 1)
    return [rounds[round(index * step)] for index in range(_MOST_ROUNDS)]
