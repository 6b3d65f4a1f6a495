"""Writes a run's results as one HTML page, which needs nothing besides itself."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from algorithm.monitoring.units import size
from algorithm.report import words
from algorithm.report.charts import Chart, curve_chart
from algorithm.report.lanes import lanes_of
from algorithm.report.learning import SERVER, Curve, learning_of
from algorithm.report.reading.results import NATIVE, Results
from algorithm.report.steps import STAGES, Timeline, timeline_of
from proxy import __version__
from proxy.central.report import MessageRecord
from proxy.errors import UsageError

# More is no picture, and no page; `run.json` has all of it.
_MOST_CHARTS = 24
_MOST_ROWS = 200
_MOST_MESSAGES = 500
_MOST_FAILURES = 30
_MOST_POINTS = 40_000
_MOST_NAMED_LINES = 8
_FOR_EXAMPLE = 5
_LIFETIMES = {"warm": "warm: one for the whole run", "per-round": "one for each message"}
_MACHINE = {
    "python": "Python",
    "system": "System",
    "machine": "Machine",
    "processors": "Processors",
}


@dataclass(frozen=True)
class Figure:
    """A metric's chart, and the numbers behind it."""

    curve: Curve
    chart: Chart
    named: Sequence[str]
    summary: str


@dataclass
class Failure:
    """Error replies with the same reason."""

    reason: str
    code: int | None
    records: list[MessageRecord]

    @property
    def where(self) -> str:
        """At which stations it was."""
        names = Counter(record.station for record in self.records)
        shown = [f"{name} ({times})" for name, times in names.most_common(_FOR_EXAMPLE)]
        more = len(names) - len(shown)
        return ", ".join(shown) + (f" and {words.count(more, 'more station')}" if more else "")

    @property
    def when(self) -> str:
        """In which steps it was."""
        titles = list(dict.fromkeys(record.title for record in self.records))
        more = len(titles) - _FOR_EXAMPLE
        shown = ", ".join(titles[:_FOR_EXAMPLE])
        return shown + (f" and {words.count(more, 'more step')}" if more > 0 else "")


def page_of(results: Results) -> str:
    """Return the page of a run.

    Raises
    ------
    UsageError
        If Jinja2 is missing.
    """
    outcome, timeline, learning = (
        results.outcome,
        timeline_of(results.outcome),
        learning_of(results),
    )
    messages = outcome.messages
    return rendered(
        "report.html",
        results=results,
        outcome=outcome,
        headline=headline(results, timeline),
        learning=learning,
        figures=figures_of(learning.curves[:_MOST_CHARTS]),
        hidden_charts=len(learning.curves) - len(learning.curves[:_MOST_CHARTS]),
        timeline=timeline,
        spent=spent_of(timeline),
        lanes=lanes_of(timeline),
        stations=_stations(results, timeline)[:_MOST_ROWS],
        station_count=len({*outcome.stations, *(message.station for message in messages)}),
        failures=_failures(messages)[:_MOST_FAILURES],
        rounds=rounds_of(timeline),
        errors=sum(bool(message.error) for message in messages),
        messages=messages[:_MOST_MESSAGES],
        files=results.files[:_MOST_ROWS],
        most_rows=_MOST_ROWS,
        facts=facts_of(results, timeline),
        run_config=dict(sorted(outcome.run_config.items())[:_MOST_ROWS]),
        packages=dict(sorted(outcome.packages.items())),
    )


def rendered(template: str, **values: object) -> str:
    """Return a template, filled in; all values are escaped.

    Raises
    ------
    UsageError
        If Jinja2 is missing.
    """
    try:
        import jinja2  # noqa: PLC0415 (of an extra)
    except ImportError as error:
        raise UsageError(
            "A report needs Jinja2, which is not installed.",
            "Install it with: pip install 'flower-v6[report]'",
        ) from error
    page: str = _templates(jinja2).get_template(f"{template}.jinja").render(values)
    return page


@cache
def _templates(jinja2: Any) -> Any:
    """Return the templates; each is compiled when it is first used."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("algorithm.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "breakable": _breakable,
        "seconds": words.seconds,
        "size": size,
        "number": words.number,
        "count": words.count,
        "moment": words.moment,
        "percent": words.percent,
        "setting": words.setting,
    }
    templates.globals |= {"STAGES": STAGES, "SERVER": SERVER, "release": __version__}
    return templates


def _breakable(path: str) -> Any:
    """Return a path that a narrow page breaks after a slash."""
    import markupsafe  # noqa: PLC0415 (of Jinja2)

    return markupsafe.Markup("/<wbr>").join(path.split("/"))


def headline(results: Results, timeline: Timeline) -> str:
    """Return how the run ended, in a sentence."""
    outcome = results.outcome
    if outcome.mode == NATIVE:
        return f"Flower by itself: its strategy took {words.seconds(outcome.seconds)}."
    errors = sum(bool(message.error) for message in outcome.messages)
    happened = (
        f"{words.count(len(outcome.messages), 'message')} in"
        f" {words.count(len(timeline.steps), 'step')} at"
        f" {words.count(len(outcome.stations), 'station')}"
    )
    ended = {"completed": "Completed in", "failed": "Failed after"}.get(
        outcome.status, "Cancelled after"
    )
    failures = words.count(errors, "error reply") if errors else "no failure"
    return f"{ended} {words.seconds(outcome.seconds)}: {happened}, {failures}."


def rounds_of(timeline: Timeline) -> int:
    """Return how many steps there are of the type that has most."""
    types = Counter(step.bars[0].record.message_type for step in timeline.steps)
    return max(types.values(), default=0)


def facts_of(results: Results, timeline: Timeline) -> Mapping[str, str]:
    """Return what ran on what, by what it is called."""
    outcome = results.outcome
    supernodes = {
        "bridge": _LIFETIMES.get(outcome.supernodes, outcome.supernodes),
        "direct": "none: direct mode",
    }
    facts = {
        "App": outcome.app,
        "App's FAB hash (SHA-256)": ", ".join(results.fab_hashes),
        "Flower": f"flwr {outcome.flower_release}" if outcome.flower_release else "",
        "Bridge": f"flower-v6 {outcome.bridge_release}" if outcome.bridge_release else "",
        "Mode": outcome.mode,
        "SuperNodes": supernodes.get(outcome.mode, ""),
        "Flower run": outcome.flower_run,
        "First message": words.moment(timeline.began),
        **{_MACHINE.get(name, name): value for name, value in outcome.environment.items()},
        "Left out of run.json": ", ".join(outcome.left_out),
    }
    return {name: value for name, value in facts.items() if value}


def figures_of(curves: Sequence[Curve]) -> list[Figure]:
    """Return the charts; where there are too many lines, the stations show as a band only."""
    points = sum(len(curve.rounds) * len(curve.stations) for curve in curves)
    figures = []
    for curve in curves:
        named = sorted(curve.stations)
        shown = named if points <= _MOST_POINTS else []
        chart = curve_chart(
            curve.rounds,
            [curve.stations[station] for station in shown],
            curve.mean,
            (curve.low, curve.high),
            curve.server,
        )
        few = shown if len(shown) <= _MOST_NAMED_LINES else []
        figures.append(Figure(curve, chart, few, _summary(curve)))
    return figures


def _summary(curve: Curve) -> str:
    """Return what the chart shows, for whoever does not see it."""
    values = curve.mean or curve.server
    first, last = min(values), max(values)
    of = "mean of the stations" if curve.mean else "of the ServerApp"
    return (
        f"{curve.title} by round, {of}: {words.number(values[first])} in round {first},"
        f" {words.number(values[last])} in round {last}. The numbers are in the table below."
    )


def spent_of(timeline: Timeline) -> list[tuple[str, str, float, float]]:
    """Return class, what it was, seconds, and percent, of what the run's time went to."""
    spent = [(name, text, timeline.spent.get(name, 0.0)) for name, text in STAGES.items()]
    spent.append(("outside", "start, end, and ServerApp between steps", timeline.outside))
    total = sum(took for _, _, took in spent) or 1.0
    return [(name, text, took, took / total * 100) for name, text, took in spent if took > 0]


def _stations(results: Results, timeline: Timeline) -> list[dict[str, Any]]:
    """Return a row for each station, in the order of their names."""
    rows: dict[str, dict[str, Any]] = {
        name: {"name": name, "messages": 0, "errors": 0, "seconds": 0.0, "clientapp": 0.0}
        | {"waited": 0.0, "held_up": 0, "out": 0, "back": 0}
        for name in sorted({*results.outcome.stations, *(_names(timeline))})
    }
    for step in timeline.steps:
        for bar in step.bars:
            row, record = rows[bar.record.station], bar.record
            row["messages"] += 1
            row["errors"] += bool(record.error)
            row["seconds"] += bar.end - bar.start
            row["clientapp"] += max(record.clientapp_runtime, 0.0)
            row["waited"] += step.end - bar.end
            row["held_up"] += bar is step.slowest and len(step.bars) > 1
            row["out"] += record.bytes_out
            row["back"] += record.bytes_back
    return list(rows.values())


def _names(timeline: Timeline) -> set[str]:
    return {bar.record.station for step in timeline.steps for bar in step.bars}


def _failures(messages: Sequence[MessageRecord]) -> list[Failure]:
    """Return the error replies by their reasons, the most frequent first."""
    groups: dict[tuple[int | None, str], list[MessageRecord]] = defaultdict(list)
    for record in messages:
        if record.error:
            groups[record.error_code, record.error].append(record)
    failures = [Failure(reason, code, records) for (code, reason), records in groups.items()]
    return sorted(failures, key=lambda failure: -len(failure.records))
