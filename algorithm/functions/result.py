"""What a central function leaves: JSON that vantage6's UI can show, and the ServerApp's files."""

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

from algorithm.runs.outcome import Outcome
from proxy import strict_json
from proxy.central.report import MessageRecord
from proxy.errors import AppError, CarrierError
from proxy.text import cleaned
from proxy.vantage6.members import encoded, pieces_of

log = logging.getLogger(__name__)

# What the algorithm store's entry (`algorithm.image.store_entry`) tells the UI to show as a table,
# and as a line.
ROWS, COLUMNS = "metrics", "rounds"
LINE_X, LINE_Y = "round", "loss"
FILES = "files"
# What makes room for the files, in this order, and what stands in its place. The UI fails where
# there is no such column.
_DISPENSABLE: Sequence[Mapping[str, Any]] = (
    {ROWS: [], COLUMNS: {LINE_X: [], LINE_Y: []}},
    {"messages": []},
)
_MOST_DIGITS = 10
# More lines are no picture.
_MOST_COLUMNS = 1000


def write_result(path: Path, outcome: Outcome, written: Path, max_bytes: int) -> None:
    """Write the result of a central function.

    Its members are those of `Outcome`, and

    - `metrics`: for each reply an object with `round`, `message_type`, `organization` and the
      reply's metrics;
    - `rounds`: for each of these numbers, the list of its means over the stations, by round;
    - `files`: the base64 of each file, by its name.

    If that is too large, `metrics` and `rounds` are left empty, and then `messages`.

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
        If the files alone are too large. They are left out then.
    AppError
        If the result cannot be written; it says how the run ended.
    """
    rows = cleaned([_row(record) for record in outcome.messages if not record.error])
    members = {**outcome.members(), ROWS: rows, COLUMNS: _columns(rows)}
    files = {_name(each.relative_to(written)): each for each in _files(written)}
    # Base64 takes a third more, and a name its quotes.
    taken = sum(
        (each.stat().st_size + 2) // 3 * 4 + len(json.dumps(name)) + len(': "", ')
        for name, each in files.items()
    )
    text = _fitting(members, max_bytes - taken)
    if text is not None:
        _write(path, text, files, outcome)
        return
    size = sum(each.stat().st_size for each in files.values())
    cause = (
        f"The ServerApp's files take {size} bytes; a result can have {max_bytes * 3 // 4}."
        f" They are left out: {', '.join(sorted(files))}."
    )
    failed = {**members, "status": "failed", "cause": cause}
    _write(path, _fitting(failed, max_bytes) or strict_json.dumps({"error": cause}), {}, outcome)
    raise CarrierError(cause, "Have the ServerApp write less: the final model only, say.")


def _fitting(members: Mapping[str, Any], max_bytes: int) -> str | None:
    """Return the members as JSON, with as many of the dispensable ones as fit."""
    fitting = dict(members)
    left_out: list[str] = []
    for emptied in ({}, *_DISPENSABLE):
        left_out += emptied
        text = strict_json.dumps({**fitting, **emptied, "left_out": left_out, FILES: {}})
        fitting |= emptied
        if len(text) < max_bytes and strict_json.may_be_read(text.encode()):
            if left_out:
                log.warning("the result has no %s: it would be too large", ", ".join(left_out))
            return text
    return None


def _write(path: Path, text: str, files: Mapping[str, Path], outcome: Outcome) -> None:
    """Write the members, with the files in the last one."""
    try:
        with path.open("wb") as target:
            target.write(text.encode().removesuffix(b"}}"))
            for number, (name, file) in enumerate(files.items()):
                target.write(b", " * bool(number) + json.dumps(name).encode() + b': "')
                with file.open("rb") as source:
                    target.writelines(encoded(pieces_of(source)))
                target.write(b'"')
            target.write(b"}}")
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, 0)  # makes room for the reason, which is left in its place
        ended = f"The run {outcome.status}. {outcome.cause}".rstrip()
        raise AppError(f"The result cannot be written: {error.strerror}.", ended) from error


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            yield path


def _name(path: Path) -> str:
    """Return a file's name, with "%FF" for a byte that is no UTF-8.

    `run.json` is the report's own where a result is fetched.
    """
    if str(path) == "run.json":
        return "serverapp-run.json"
    # Python has such a byte as a lone surrogate, U+DC80 to U+DCFF.
    return "".join(
        f"%{ord(each) & 0xFF:02X}" if "\ud800" <= each <= "\udfff" else each for each in str(path)
    )


def _row(record: MessageRecord) -> dict[str, Any]:
    """Return a row of the UI's table; a metric does not take the place of what makes it a row."""
    group = record.group_id
    own = {
        "round": int(group) if group.isdecimal() and len(group) < _MOST_DIGITS else record.step,
        "message_type": record.message_type,
        "organization": record.station,
    }
    return {**own, **{name: each for name, each in record.metrics.items() if name not in own}}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return the columns of the UI's line: rounds, and each metric's mean over the stations."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for name, value in row.items():
            if name != "round" and isinstance(value, int | float):
                values[name][row["round"]].append(value)
    rounds = sorted({row["round"] for row in rows})
    # The UI draws `LINE_Y` and fails where there is no such column.
    columns: dict[str, list[float | None]] = {LINE_X: list(rounds), LINE_Y: [None] * len(rounds)}
    for name in sorted(values)[:_MOST_COLUMNS]:
        columns[name] = [
            mean(values[name][each]) if each in values[name] else None for each in rounds
        ]
    return columns
