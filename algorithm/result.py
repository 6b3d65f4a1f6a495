"""What a central function leaves: JSON that vantage6's UI can show, and the ServerApp's files."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from algorithm.run import Outcome, report
from proxy.errors import CarrierError
from proxy.report import MessageRecord
from proxy.text import cleaned

# What the algorithm store's entry (`algorithm.store_entry`) tells the UI to show, and as a line.
ROWS, COLUMNS = "metrics", "rounds"
LINE_X, LINE_Y = "round", "loss"


def write_result(path: Path, outcome: Outcome, written: Path, max_bytes: int) -> None:
    """Write the result of a central function.

    Its members are those of `Outcome`, and

    - `metrics`: for each reply an object with `round`, `message_type`, `organization` and the
      reply's metrics;
    - `rounds`: for each of these numbers, the list of its means over the stations, by round;
    - `files`: the base64 of each file, by its name.

    Parameters
    ----------
    path : Path
        The output file.
    outcome : Outcome
        What became of the run.
    written : Path
        The folder with the files that the ServerApp wrote.
    max_bytes : int
        How large a result may be.

    Raises
    ------
    CarrierError
        If it would be larger. What is left then has no files.
    """
    rows = cleaned([_row(record) for record in outcome.messages if not record.error])
    result = {**report(outcome), ROWS: rows, COLUMNS: _columns(rows)}
    files = {_name(each.relative_to(written)): each for each in _files(written)}
    size = sum(each.stat().st_size for each in files.values())
    # Base64 takes a third more.
    fits = size * 4 // 3 + len(json.dumps(result)) < max_bytes
    contents = {name: b64encode(each.read_bytes()).decode() for name, each in files.items() if fits}
    if not fits:
        result |= {
            "status": "failed",
            "cause": f"The ServerApp's files take {size} bytes; a result can have"
            f" {max_bytes * 3 // 4}. They are left out: {', '.join(sorted(files))}.",
        }
    path.write_text(json.dumps({**result, "files": contents}))
    if not fits:
        raise CarrierError(
            str(result["cause"]), "Have the ServerApp write less: the final model only, say."
        )


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            yield path


def _name(path: Path) -> str:
    """Return a file's name; `run.json` is the report's own where a result is fetched."""
    return "serverapp-run.json" if str(path) == "run.json" else str(path)


def _row(record: MessageRecord) -> dict[str, Any]:
    """Return a row of the UI's table; a metric does not take the place of what makes it a row."""
    own = {
        "round": int(record.group_id) if record.group_id.isdecimal() else record.step,
        "message_type": record.message_type,
        "organization": record.station,
    }
    return {**own, **{name: each for name, each in record.metrics.items() if name not in own}}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return the columns of the UI's line: rounds, and each metric's mean over the stations."""
    rounds = sorted({row["round"] for row in rows})
    names = sorted({name for row in rows for name, value in row.items() if _is_metric(name, value)})
    # The UI draws `LINE_Y` and fails where there is no such column.
    columns: dict[str, list[float | None]] = {LINE_X: list(rounds), LINE_Y: [None] * len(rounds)}
    for name in names:
        by_round = [
            [row[name] for row in rows if row["round"] == each and name in row] for each in rounds
        ]
        columns[name] = [mean(values) if values else None for values in by_round]
    return columns


def _is_metric(name: str, value: object) -> bool:
    return name != "round" and isinstance(value, (int, float))
