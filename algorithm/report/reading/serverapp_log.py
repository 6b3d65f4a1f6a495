"""What a ServerApp's log says of its run, as Flower's strategies write it.

Source: flwr 1.21 to 1.42, `flwr/serverapp/strategy/strategy.py` (`Strategy.start`), which logs how
long it took, and `result.py` (`Result.__repr__`) line by line under "Final results:". The values
are texts there, with five digits.
"""

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from proxy.text import one_line

Metrics: TypeAlias = Mapping[str, Mapping[int, float]]

_SERVER = "ServerApp-side Evaluate Metrics:"
_AGGREGATED = {
    "train": "Aggregated ClientApp-side Train Metrics:",
    "evaluate": "Aggregated ClientApp-side Evaluate Metrics:",
}
_FINISHED = re.compile(r"Strategy execution finished in (\d{1,12}\.\d\d)s")
_PREFIX = re.compile(r"^INFO\s*:\s*|\x1b\[[0-9;]*m")
# More is no report.
_MOST_CHARACTERS = 1_000_000
_MOST_KEYS = 100
_KEY_LENGTH = 200


def seconds_of(log: str) -> float | None:
    """Return how long the strategy took; None if the log does not say that it ended."""
    finished = _FINISHED.findall(log)
    return float(finished[-1]) if finished else None


def aggregated_metrics(log: str) -> Mapping[str, Metrics]:
    """Return what the strategy made of the ClientApps' metrics, by type of message."""
    return {kind: _under(title, log) for kind, title in _AGGREGATED.items()}


def server_metrics(log: str) -> Metrics:
    """Return what the ServerApp measured, by key and round; nothing if the log does not say."""
    return _under(_SERVER, log)


def _under(title: str, log: str) -> Metrics:
    _, heading, rest = log.rpartition(title)
    if not heading:
        return {}
    text = ""
    for line in rest.splitlines()[1:]:
        stripped = _PREFIX.sub("", _PREFIX.sub("", line)).strip()
        text += stripped
        if not stripped or stripped.endswith("}}") or len(text) > _MOST_CHARACTERS:
            break
    try:
        rounds = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    metrics: dict[str, dict[int, float]] = {}
    for number, key, value in _values(rounds):
        if key in metrics or len(metrics) < _MOST_KEYS:
            metrics.setdefault(key, {})[number] = value
    return metrics


def _values(rounds: object) -> Iterator[tuple[int, str, float]]:
    """Yield round, key and value of what is a number."""
    if not isinstance(rounds, dict):
        return
    for number, metrics in rounds.items():
        if isinstance(number, int) and 0 <= number < 10**9 and isinstance(metrics, dict):
            for key, text in metrics.items():
                if not isinstance(key, str):
                    continue
                try:
                    value = float(text)
                except (ValueError, TypeError, OverflowError):
                    continue
                if math.isfinite(value):
                    yield number, one_line(key, _KEY_LENGTH), value
