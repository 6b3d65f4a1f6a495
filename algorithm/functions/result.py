"""What a central function leaves: JSON that vantage6's UI can show, and the ServerApp's files."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from algorithm.flower.manifest import ENVIRONMENT_VARIABLE, Manifest
from algorithm.functions.tables import only, tables
from algorithm.monitoring.outcome import Outcome
from proxy import strict_json
from proxy.errors import AppError, CarrierError
from proxy.text import cleaned
from proxy.vantage6.members import encoded, pieces_of

log = logging.getLogger(__name__)

FILES = "files"
_NO_ROOM = "The rows are left out: with the files, the result would have been too large."


def write_result(path: Path, outcome: Outcome, written: Path, max_bytes: int) -> None:
    """Write the result of a central function.

    Its members are those of `Outcome`, and

    - `metrics`, `rounds` and, if the image has one, `chart`: see `tables`;
    - `files`: the base64 of each file, by its name.

    If that is too large, the tables say so instead of having rows, and then `messages` is empty.

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
    members = {**outcome.members(), **_shown(outcome)}
    files = {_name(file.relative_to(written)): file for file in _files(written)}
    # Base64 takes a third more, and a name its quotes.
    taken = sum(
        (file.stat().st_size + 2) // 3 * 4 + len(json.dumps(name)) + len(': "", ')
        for name, file in files.items()
    )
    text = _fitting(members, max_bytes - taken)
    if text is not None:
        _write(path, text, files, outcome)
        return
    size = sum(file.stat().st_size for file in files.values())
    cause = (
        f"The ServerApp's files take {size} bytes; a result can have {max_bytes * 3 // 4}."
        f" They are left out: {', '.join(sorted(files))}."
    )
    outcome.status, outcome.cause = "failed", cause
    failed = {**outcome.members(), **_shown(outcome)}
    _write(path, _fitting(failed, max_bytes) or strict_json.dumps(refusal(cause)), {}, outcome)
    raise CarrierError(cause, "Have the ServerApp write less: the final model only, say.")


def refusal(reason: str) -> dict[str, Any]:
    """Return the result of a central function that did not begin its run."""
    return {"error": reason, **cleaned(only(reason, _chart()))}


def _shown(outcome: Outcome) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = cleaned(tables(outcome, _chart()))
    return shown


def _chart() -> str:
    """Return the metric that the image's chart has; empty if it has none."""
    try:
        return Manifest.read(Path(os.environ[ENVIRONMENT_VARIABLE])).chart
    except (KeyError, AppError):
        return ""  # it is no image


def _fitting(members: Mapping[str, Any], max_bytes: int) -> str | None:
    """Return the members as JSON, with as many of the dispensable ones as fit."""
    fitting = dict(members)
    left_out: list[str] = []
    # What makes room, in this order, and what stands in its place: the page fails without.
    emptied: Mapping[str, Any]
    for emptied in ({}, only(_NO_ROOM, _chart()), {"messages": []}):
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
        f"%{ord(character) & 0xFF:02X}" if "\ud800" <= character <= "\udfff" else character
        for character in str(path)
    )
