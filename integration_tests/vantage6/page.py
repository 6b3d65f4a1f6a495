"""What vantage6's web interface makes of a central function's result; it fails where the page does.

The page is vantage6's UI 4.14, looked at by hand: it is no package, so the tests cannot have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# JavaScript has no other numbers than doubles.
_LARGEST_EXACT = 2**53
# A page is drawn at once; it loads the result again with each event of the task.
_MOST_CELLS = 200_000


@dataclass(frozen=True)
class Table:
    """A table as it is shown, and as its CSV has it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]


def shown(result: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of a result; an AssertionError says what the page cannot show."""
    if "chart" in result:
        _check_chart(result["chart"])
    return {name: _table(result[name], name) for name in ("metrics", "rounds")}


def _table(records: Any, name: str) -> Table:
    assert isinstance(records, list), f"{name} is no list, so its heading is that of another table"
    assert records, f"{name} is empty: a TypeError, and an empty card"
    columns = list(records[0])
    assert len(records) * len(columns) <= _MOST_CELLS, f"{name} is too large for a page"
    for number, record in enumerate(records):
        assert list(record) == columns, f"row {number} of {name} has other columns than the first"
        for column, cell in record.items():
            assert type(cell) in (str, int, float), (
                f"{column} of row {number} of {name} is {cell!r}"
            )
            exact = not isinstance(cell, int) or abs(cell) <= _LARGEST_EXACT
            assert exact, f"{column} of row {number} of {name} is rounded: {cell!r}"
    return Table(columns, [list(record.values()) for record in records])


def _check_chart(chart: Any) -> None:
    assert isinstance(chart, dict), "the chart is no object of lists"
    assert list(chart)[:1] == ["round"], "the chart has no rounds"
    assert len(chart) == 2, "the chart has another number of lines than one"
    rounds, values = chart.values()
    assert rounds, "an empty chart leaves an empty card"
    assert len(rounds) == len(values), "the chart's lists differ in length"
    assert all(type(each) is int for each in rounds)
    assert all(each is None or type(each) in (int, float) for each in values)
