"""Reads what a run left: `run.json`, and the logs and files beside it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from algorithm.monitoring.entries import FILE as EVENTS
from algorithm.monitoring.outcome import Outcome
from algorithm.report.reading.serverapp_log import Metrics, seconds_of, server_metrics
from algorithm.report.reading.unfinished import outcome_of_events
from algorithm.report.reading.verdicts import verdicts_in
from proxy import strict_json
from proxy.errors import AppError, UsageError, reason_of
from proxy.text import cleaned, one_line

# The mode of a run of Flower by itself, of which there is a log only.
NATIVE = "native"
REPORT, PAGE = "run.json", "report.html"
CRATE = "ro-crate-metadata.json"
# More is no run.json: a hundred thousand messages take 80 MB.
_MOST_BYTES = 256 << 20
_MOST_LOG_BYTES = 8 << 20
_MOST_LOGS = 200


@dataclass(frozen=True)
class File:
    """A file that the run left.

    Attributes
    ----------
    name : str
        Its path in the results folder.
    bytes : int
        Its size.
    sha256 : str
        Of its content.
    path : Path
        Where it is.
    """

    name: str
    bytes: int
    sha256: str
    path: Path


@dataclass(frozen=True)
class Results:
    """What is known of a run.

    Attributes
    ----------
    source : Path
        Its `run.json`, or its `events.jsonl`.
    outcome : Outcome
        What that says; all texts are cleaned.
    files : tuple[File, ...]
        What else is in the folder: what the ServerApp wrote, and logs.
    server : Mapping[str, Mapping[int, float]]
        The ServerApp's own metrics, by key and round.
    verdicts : Mapping[str, tuple[str, ...]]
        What each station's policy decided, by the station's name in the logs.
    aggregated : Mapping[str, Metrics]
        What the strategy made of the ClientApps' metrics, by type of message; only of a run of
        which nothing else is known.
    strategy_seconds : float | None
        How long Flower's strategy took, as it says itself.
    """

    source: Path
    outcome: Outcome
    files: tuple[File, ...] = ()
    server: Metrics = field(default_factory=dict)
    verdicts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aggregated: Mapping[str, Metrics] = field(default_factory=dict)
    strategy_seconds: float | None = None

    @property
    def folder(self) -> Path:
        """The results folder."""
        return self.source.parent

    @property
    def fab_hashes(self) -> tuple[str, ...]:
        """The SHA-256 of each app that ran: one, as a rule."""
        return tuple(dict.fromkeys(r.fab_hash for r in self.outcome.messages if r.fab_hash))


def read_results(path: Path) -> Results:
    """Read a results folder, or a `run.json` by itself.

    A folder without a `run.json` is that of a run that was killed: its events say what is known.

    Raises
    ------
    UsageError
        If there is neither.
    AppError
        If it cannot be read, or is none.
    """
    folder = path if path.is_dir() else path.parent
    source = path / REPORT if path.is_dir() else path
    if path.is_dir() and not source.exists():
        source = path / EVENTS
    if not source.is_file():
        raise UsageError(
            f"There is no {REPORT} at {path}.",
            "Name the folder that `flower-v6 run --output` or `flower-v6 fetch` has filled.",
        )
    outcome = _read_outcome(source)
    if not path.is_dir():
        return Results(source, outcome)
    if source.name == EVENTS:
        return Results(source, outcome, tuple(_files(folder)))  # logs are an earlier run's
    log = read_log(folder / "serverapp.log")
    return Results(
        source,
        outcome,
        tuple(_files(folder)),
        server_metrics(log),
        {
            one_line(log_path.name.removesuffix("-functions.log"), 80): verdicts
            for log_path in sorted(folder.glob("*-functions.log"))[:_MOST_LOGS]
            if (verdicts := verdicts_in(read_log(log_path)))
        },
        strategy_seconds=seconds_of(log),
    )


def _read_outcome(source: Path) -> Outcome:
    try:
        if (taken := source.stat().st_size) > _MOST_BYTES:
            raise ValueError(f"it has {taken:,} bytes, and may have {_MOST_BYTES:,}")
        if source.name == EVENTS:
            return outcome_of_events(source)
        return Outcome.checked(cleaned(strict_json.loads(source.read_bytes())))
    except OSError as error:
        raise AppError(f"{source} cannot be read: {reason_of(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise AppError(
            f"{source} cannot be read as what a run left: {one_line(str(error), 200)}.",
            "Name what `flower-v6 run --output` or `flower-v6 fetch` has left.",
        ) from error


def _files(folder: Path) -> Iterator[File]:
    """Yield what is in the folder, but for what a report itself left, and what cannot be read."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if name in (PAGE, CRATE) or not path.resolve().is_relative_to(folder.resolve()):
            continue
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            yield File(one_line(name, 200), path.stat().st_size, digest, path)
        except OSError:
            continue


def read_log(path: Path) -> str:
    """Return the end of a log; nothing if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _MOST_LOG_BYTES))
            return log.read(_MOST_LOG_BYTES).decode(errors="replace")
    except OSError:
        return ""
