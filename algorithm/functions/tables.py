"""The tables and the chart of a result, made for vantage6's own web interface.

It shows a list of records as a table, whose columns are the keys of the **first** record. An empty
list, and an object that lacks a member, leave an empty card. A line is drawn from an object of
lists. Whole numbers above 2^53 come out rounded. Source: vantage6's UI 4.14, looked at; what it
does is repeated by `integration_tests/vantage6/page.py`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from algorithm.monitoring.outcome import Outcome
from proxy.central.report import MessageRecord
from proxy.fleet.metrics import Metrics
from proxy.text import one_line

# Where the algorithm store's entry (`algorithm.image.store_entry`) tells the page to look.
ROWS, ROUNDS, CHART = "metrics", "rounds", "chart"
CHART_X = "round"

# What Flower's strategies weight a reply's metrics by (flwr 1.41, `serverapp/strategy/fedavg.py`),
# and what FitRes and EvaluateRes have become (`compat/common/recorddict_compat.py`).
_WEIGHTS = ("num-examples", "num_examples")
_EVALUATE = "evaluate"
# A wider table is none. `messages` has all metrics.
_MOST_METRICS = 100
_MOST_ERROR_CHARACTERS = 300
_SIGNIFICANT_DIGITS = 6
_LARGEST_EXACT = 2**53
# JSON has null for what is not there; the page may fail on that.
_NOTHING = ""
_FIRST = ("round", "message_type", "organization")
_COUNTS = ("stations", "errors")
_LAST = "error"

Row = dict[str, str | int | float]
_Group = tuple[int, str, Sequence[MessageRecord]]


def tables(outcome: Outcome, chart: str) -> dict[str, Any]:
    """Return the members of a result that the page shows; none of their lists is empty.

    Parameters
    ----------
    outcome : Outcome
        What became of the run.
    chart : str
        The metric that is drawn by round; empty for none.

    Returns
    -------
    dict[str, Any]
        - `metrics`: a row for each reply, by round and organization;
        - `rounds`: a row for each round and type of message: how many stations answered, how many
          of them with an error, and the mean of each metric, weighted by examples as Flower's own;
          of the examples it is the sum;
        - `chart`, where there is one: the rounds that have the metric, and its means.

        A run that did not complete, or that no station took part in, has one more row in both
        tables, with the reason as `error`.
    """
    messages = _named_as_shown(outcome.messages)
    groups = _groups(messages)
    names = _metrics_of(messages)
    rows = [
        _row(number, record.message_type, names, record.metrics, record.error)
        | {"organization": record.station}
        for number, _, records in groups
        for record in records
    ]
    rounds = [_round(group, names) for group in groups]
    reason = "" if groups else "The app sent no message to a station."
    if outcome.status != "completed":
        reason = outcome.cause or f"The run {outcome.status}."
    if reason:
        row = _row(groups[-1][0] if groups else 0, "run", names, {}, reason)
        rows.append(row)
        rounds.append(_as_round(row, 0, 0))
    return {ROWS: rows, ROUNDS: rounds, **_chart(groups, chart)}


def only(reason: str, chart: str) -> dict[str, Any]:
    """Return the same members where there is nothing to show but a reason for that."""
    row = _row(0, "run", [], {}, reason)
    return {ROWS: [row], ROUNDS: [_as_round(row, 0, 0)], **_chart([], chart)}


def _named_as_shown(records: Sequence[MessageRecord]) -> list[MessageRecord]:
    """Return the records with metrics by their cleaned names.

    Else a name that is cleaned later may become that of another column. Of two metrics that get the
    same name, the one that always had it counts.
    """
    shown = {
        name: one_line(name) for name in {name for record in records for name in record.metrics}
    }

    def named(metrics: Metrics) -> Metrics:
        ordered = sorted(metrics.items(), key=lambda metric: shown[metric[0]] == metric[0])
        return {shown[name]: value for name, value in ordered}

    return [replace(record, metrics=named(record.metrics)) for record in records]


def _groups(records: Iterable[MessageRecord]) -> list[_Group]:
    """Return the records by round and type of message; types in the order of their first."""
    groups: dict[tuple[int, str], list[MessageRecord]] = defaultdict(list)
    types: dict[str, int] = {}
    for record in records:
        types.setdefault(record.message_type, len(types))
        groups[record.round_number, record.message_type].append(record)
    return [
        (number, kind, sorted(groups[number, kind], key=lambda record: record.station))
        for number, kind in sorted(groups, key=lambda key: (key[0], types[key[1]]))
    ]


def _metrics_of(records: Iterable[MessageRecord]) -> list[str]:
    """Return the names of the columns: the most frequent metrics, in alphabetical order."""
    own = {*_FIRST, *_COUNTS, _LAST}
    times = Counter(name for record in records for name in record.metrics if name not in own)
    most = sorted(times, key=lambda name: (-times[name], name))[:_MOST_METRICS]
    return sorted(most)


def _row(
    number: int, kind: str, names: Sequence[str], metrics: Mapping[str, float], error: str
) -> Row:
    return {
        **dict(zip(_FIRST, (number, kind, _NOTHING), strict=True)),
        **{name: _shown(metrics[name]) if name in metrics else _NOTHING for name in names},
        _LAST: one_line(error, _MOST_ERROR_CHARACTERS),
    }


def _as_round(row: Row, stations: int, errors: int) -> Row:
    """Return a row of the other table: counts in place of the organization."""
    number, kind, _ = _FIRST
    rest = {name: cell for name, cell in row.items() if name not in _FIRST}
    return {number: row[number], kind: row[kind], "stations": stations, "errors": errors, **rest}


def _round(group: _Group, names: Sequence[str]) -> Row:
    number, kind, records = group
    errors = [record.error for record in records if record.error]
    means = {name: mean for name in names if (mean := _mean(records, name)) is not None}
    row = _row(number, kind, names, means, errors[0] if errors else "")
    return _as_round(row, len(records), len(errors))


def _mean(records: Iterable[MessageRecord], name: str) -> float | None:
    """Return a metric's mean over the replies that have it; None if none has."""
    having = [record.metrics for record in records if not record.error and name in record.metrics]
    values = [metrics[name] for metrics in having]
    if not values or name in _WEIGHTS:
        return sum(values) if values else None
    weights = [next((metrics[key] for key in _WEIGHTS if key in metrics), -1) for metrics in having]
    if min(weights) < 0 or not (total := sum(weights)):
        weights, total = [1] * len(values), len(values)
    # The shares first, and nothing beyond the values: the largest numbers have a mean, too.
    mean = sum(value * (weight / total) for value, weight in zip(values, weights, strict=True))
    return min(max(mean, min(values)), max(values))


def _chart(groups: Sequence[_Group], metric: str) -> dict[str, Any]:
    """Return the points of the metric, one for each round; without any, one that is not drawn."""
    if not metric:
        return {}
    points: dict[int, float] = {}
    # Of one metric in two types of messages, an evaluation says more.
    for number, _, records in sorted(groups, key=lambda group: group[1].startswith(_EVALUATE)):
        if (mean := _mean(records, metric)) is not None:
            points[number] = mean
    if not points:
        return {CHART: {CHART_X: [0], metric: [None]}}
    rounds = sorted(points)
    return {CHART: {CHART_X: rounds, metric: [_rounded(points[number]) for number in rounds]}}


def _shown(value: float) -> str | int | float:
    """Return a number as the page can show it."""
    if isinstance(value, float):
        return _rounded(value) if math.isfinite(value) else str(value)
    return value if abs(value) <= _LARGEST_EXACT else str(value)


def _rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
