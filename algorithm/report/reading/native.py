"""A run of Flower by itself, which leaves a log: what `flwr run --stream` or `flwr log` shows."""

from pathlib import Path

from algorithm.monitoring.outcome import Outcome
from algorithm.report.reading.results import NATIVE, Results, read_log, read_results
from algorithm.report.reading.serverapp_log import aggregated_metrics, seconds_of, server_metrics
from proxy.text import one_line


def read_compared(path: Path) -> Results:
    """Read one of the runs that are compared: as `read_results`, or a log of Flower by itself.

    Raises
    ------
    UsageError, AppError
        As `read_results`, if it is no log either.
    """
    if path.is_file() and path.suffix != ".json":
        log = read_log(path)
        if (seconds := seconds_of(log)) is not None:
            return _results(path, log, seconds)
    return read_results(path)


def _results(path: Path, log: str, seconds: float) -> Results:
    outcome = Outcome(
        app=one_line(path.name, 80),
        flower_release="",
        supernodes="",
        stations=[],
        mode=NATIVE,
        bridge_release="",
        status="completed",
        seconds=seconds,
    )
    return Results(
        path,
        outcome,
        server=server_metrics(log),
        aggregated=aggregated_metrics(log),
        strategy_seconds=seconds,
    )
