"""JSON of others, read within bounds; and our own, which every JSON reader understands.

Python reads nested text by recursion, and writes numbers that JSON does not have (NaN, Infinity).
Small values take many times their text in memory, so their number is limited.
"""

import json
import math
from typing import Any

# A value takes up to 100 bytes in memory. No answer or result of a sensible size has so many.
MOST_VALUES = 2_000_000


def loads(text: bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        If it is no JSON but for NaN and Infinity, or is nested too deeply, or has too many values.
    """
    if not may_be_read(text):
        raise ValueError(f"it may have more than {MOST_VALUES:,} values")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def may_be_read(text: bytes) -> bool:
    """Whether a JSON text has no more values than `loads` takes."""
    # Each value but the first stands behind one of these; more of them may stand in strings.
    return sum(map(text.count, (b"[", b"{", b",", b":"))) <= MOST_VALUES


def dumps(value: object, indent: int | None = None) -> str:
    """Return a value as JSON, without members whose number JSON does not have."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items() if _is_json(member)}
    if isinstance(value, list | tuple):
        return [_finite(element) if _is_json(element) else None for element in value]
    return value


def _is_json(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
