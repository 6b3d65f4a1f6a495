"""The results as a person reads them, and as a program does."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

from benchmarks.costs import Cost
from benchmarks.goals import Goal, Results
from benchmarks.measure import NATIVE, Measurement

# Heading (two lines), key in `summary`, and format of each column of numbers.
_COLUMNS = (
    ("step,", "x native", "step_over_native", "{:.2f}"),
    ("step,", "s", "step", "{:.2f}"),
    ("own part,", "x native", "own_over_native_step", "{:.2f}"),
    ("own part,", "s", "own", "{:.2f}"),
    ("longest,", "s", "own_longest", "{:.2f}"),
    ("bytes,", "x objects", "bytes_over_objects", "{:.4f}"),
    ("FABs", "sent", "fabs_sent", "{:g}"),
    ("central,", "MiB", "central_over_idle_mib", "{:.1f}"),
    ("client,", "MiB", "client_over_idle_mib", "{:.1f}"),
)
LEGEND = """\
step       a train round as the ServerApp sees it; mean after the first
own part   the bridge's own time for one message, from pulled to reply stored, less the time that
           the SuperNode has it, or in direct mode the ClientApp's process; mean and longest after
           the first message; beside the seconds, their ratio to a native step
bytes      bundles without the FAB, both ways, over the objects in them; the files of vantage6, in
           which bundles travel, are JSON with base64 and hence a third larger
FABs       how often the app itself was sent to a station, at most
central,   each proxy's peak memory over idle, for client proxies the largest; measured with warm
client     SuperNodes only, because a per-round client proxy ends with its message"""


def summary(measurement: Measurement, native: Measurement) -> dict[str, float]:
    """Return the numbers that tell what a measurement says; natively there are few."""
    step = measurement.step
    numbers = {"step_over_native": step / native.step, "step": step}
    if measurement.messages:
        own = measurement.own_seconds
        numbers["own"] = mean(own)
        numbers["own_over_native_step"] = mean(own) / native.step
        numbers["own_longest"] = max(own)
        numbers["bytes_over_objects"] = measurement.bytes_over_objects
        numbers["fabs_sent"] = max(measurement.fabs_sent)
    for memory in measurement.memory:
        key = f"{memory.process}_over_idle_mib"
        numbers[key] = max(memory.over_idle_mib, numbers.get(key, 0.0))
    return numbers


def comparison(results: Results) -> str:
    """Return the table of all results: a row for each size and mode."""
    rows = [
        ["", "", *(column[0] for column in _COLUMNS)],
        ["model", "mode", *(column[1] for column in _COLUMNS)],
    ]
    for (size, mode), measurement in results.items():
        numbers = summary(measurement, results[size, NATIVE])
        cells = [
            form.format(numbers[key]) if key in numbers else "-" for _, _, key, form in _COLUMNS
        ]
        rows.append([str(size), mode, *cells])
    return _aligned(rows, left=2)


def verdicts(goals: Sequence[Goal]) -> str:
    """Return the table of the goals."""
    rows = [
        ["met" if goal.met else "MISSED", goal.what, goal.measured, goal.wanted] for goal in goals
    ]
    return _aligned(rows, left=4)


def as_json(
    results: Results, costs: Sequence[Cost], goals: Sequence[Goal], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all numbers."""
    measurements = [
        {
            **asdict(measurement),
            "summary": summary(measurement, results[size, NATIVE]),
        }
        for (size, _), measurement in results.items()
    ]
    return {
        "environment": environment,
        "measurements": measurements,
        "costs": [asdict(cost) for cost in costs],
        "goals": [asdict(goal) for goal in goals],
    }


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Align columns: the first `left` of them to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
