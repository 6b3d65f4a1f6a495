"""Writes several runs side by side on one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from algorithm.monitoring.units import size
from algorithm.report import words
from algorithm.report.charts import Chart, curve_chart
from algorithm.report.learning import SERVER, Curve, learning_of
from algorithm.report.page import facts_of, headline, rendered, rounds_of, spent_of
from algorithm.report.reading.results import NATIVE, Results
from algorithm.report.steps import Timeline, timeline_of
from proxy.errors import UsageError

# As many as there are colours that everybody can tell apart.
MOST_RUNS = 8
_MOST_CHARTS = 24


@dataclass(frozen=True)
class Compared:
    """One of the runs.

    Attributes
    ----------
    name : str
        What its folder is called.
    figures : Mapping[str, str]
        What is compared, by what it is called.
    known : bool
        Whether it is known what the time went to.
    """

    name: str
    results: Results
    timeline: Timeline
    headline: str
    spent: Sequence[tuple[str, str, float, float]]
    figures: Mapping[str, str]
    known: bool


@dataclass(frozen=True)
class Overlaid:
    """A metric of all runs that have it: one line for each."""

    key: str
    message_type: str
    runs: Sequence[tuple[int, str, Mapping[int, float]]]
    rounds: Sequence[int]
    chart: Chart
    summary: str


def comparison_of(runs: Sequence[Results]) -> str:
    """Return a page with several runs.

    Raises
    ------
    UsageError
        If there are fewer than two, or more than eight; or if Jinja2 is missing.
    """
    if not 1 < len(runs) <= MOST_RUNS:
        raise UsageError(
            f"--compare takes 2 to {MOST_RUNS} runs, not {len(runs)}.", "Name their folders."
        )
    names, differing = _names(runs), _differing(runs)
    compared = []
    for name, results in zip(names, runs, strict=True):
        timeline = timeline_of(results.outcome)
        compared.append(
            Compared(
                name,
                results,
                timeline,
                headline(results, timeline),
                spent_of(timeline),
                {**_figures(results, timeline), **_settings(results, differing)},
                results.outcome.mode != NATIVE,
            )
        )
    return rendered(
        "compare.html",
        runs=compared,
        rows=list(dict.fromkeys(row for run in compared for row in run.figures)),
        figures=_overlaid(names, runs)[:_MOST_CHARTS],
        most_seconds=max(run.results.outcome.seconds for run in compared) or 1.0,
    )


def _names(runs: Sequence[Results]) -> list[str]:
    """Return what each run is called; those whose folders are called alike get a number."""
    names: list[str] = []
    for results in runs:
        native = results.outcome.mode == NATIVE
        name = results.source.stem if native else results.folder.resolve().name or "run"
        same = sum(earlier.partition(" · ")[0] == name for earlier in names)
        names.append(f"{name} · {same + 1}" if same else name)
    return names


def _figures(results: Results, timeline: Timeline) -> dict[str, str]:
    outcome = results.outcome
    figures = {**facts_of(results, timeline), "Ended": outcome.status}
    if results.strategy_seconds is not None:
        figures["Flower's strategy took"] = words.seconds(results.strategy_seconds)
    if outcome.mode == NATIVE:
        return figures
    errors = sum(bool(record.error) for record in outcome.messages)
    figures |= {
        "Duration": words.seconds(outcome.seconds),
        "Rounds": str(rounds_of(timeline)),
        "Stations": str(len(outcome.stations)),
        "Messages": str(len(outcome.messages)),
        "Error replies": str(errors),
        "Sent out": size(sum(step.bytes_out for step in timeline.steps)),
        "Came back": size(sum(step.bytes_back for step in timeline.steps)),
    }
    for message_type in dict.fromkeys(s.bars[0].record.message_type for s in timeline.steps):
        took = [s.seconds for s in timeline.steps if s.bars[0].record.message_type == message_type]
        figures[f"Median {message_type} step"] = words.seconds(median(took))
    return figures


def _differing(runs: Sequence[Results]) -> list[str]:
    """Return the keys of the run config that say something else in one of the runs."""
    configs = [results.outcome.run_config for results in runs if results.outcome.run_config]
    keys = sorted({key for config in configs for key in config})
    return [key for key in keys if len({repr(config.get(key)) for config in configs}) > 1]


def _settings(results: Results, keys: Sequence[str]) -> dict[str, str]:
    config = results.outcome.run_config
    return {f"{key} (run config)": words.setting(config[key]) for key in keys if key in config}


def _overlaid(names: Sequence[str], runs: Sequence[Results]) -> list[Overlaid]:
    """Return a chart for each metric that any of the runs has."""
    curves: dict[tuple[str, str], list[tuple[int, str, Mapping[int, float]]]] = {}
    for number, (name, results) in enumerate(zip(names, runs, strict=True)):
        for curve in learning_of(results).curves:
            for message_type, values in _lines(curve):
                curves.setdefault((curve.key, message_type), []).append((number, name, values))
    return [_chart(key, message_type, lines) for (key, message_type), lines in curves.items()]


def _lines(curve: Curve) -> list[tuple[str, Mapping[int, float]]]:
    """Return what is compared of a metric: the stations' mean, and what the server says."""
    lines = [(curve.message_type, curve.mean), (SERVER, curve.server)]
    return [(message_type, values) for message_type, values in lines if values]


def _chart(
    key: str, message_type: str, lines: Sequence[tuple[int, str, Mapping[int, float]]]
) -> Overlaid:
    rounds = sorted({round_number for _, _, values in lines for round_number in values})
    by_number = {number: values for number, _, values in lines}
    # A line's colour is its place among all runs, also where one of them has no such metric.
    drawn = [by_number.get(number, {}) for number in range(MOST_RUNS)]
    last = "; ".join(f"{name}: {words.number(values[max(values)])}" for _, name, values in lines)
    return Overlaid(
        key,
        message_type,
        lines,
        rounds,
        curve_chart(rounds, drawn, {}, ({}, {}), {}),
        f"{key} by round, for each run. At the end {last}. The numbers are in the table below.",
    )
