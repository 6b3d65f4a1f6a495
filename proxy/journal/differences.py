"""Tells in which part two values differ, for people: configs are long, and differ in a word."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

# So many parts are told, and the others counted.
_MOST_PARTS = 3
# So many characters of a value are shown, and so many of those before the first that differs.
_MOST_CHARACTERS = 60
_BEFORE = 20
_CUT = "..."


def differ(before: object, now: object) -> bool:
    """Whether two values that JSON can hold are not the same: NaN is NaN."""
    return _canonical(before) != _canonical(now)


def difference(before: object, now: object) -> str:
    """Return how two values differ that JSON can hold: "rounds: 2 there, 3 now".

    Parameters
    ----------
    before : object
        What is "there".
    now : object
        Another value.
    """
    parts = list(_parts(before, now))
    more = f"; and {len(parts) - _MOST_PARTS} more" if len(parts) > _MOST_PARTS else ""
    return "; ".join(parts[:_MOST_PARTS]) + more


def _parts(before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before.keys() | now.keys()):
            if key not in before:
                yield f"{key}: none there, {_around(str(now[key]), 0)} now"
            elif key not in now:
                yield f"{key}: {_around(str(before[key]), 0)} there, none now"
            elif differ(before[key], now[key]):
                yield f"{key}: {difference(before[key], now[key])}"
    elif isinstance(before, list) and isinstance(now, list) and len(before) != len(now):
        yield f"{len(before)} there, {len(now)} now"
    elif isinstance(before, list) and isinstance(now, list):
        number = next(n for n, pair in enumerate(zip(before, now, strict=True)) if differ(*pair))
        yield f"number {number + 1}: {difference(before[number], now[number])}"
    else:
        texts = str(before), str(now)
        if texts[0] == texts[1]:  # such as 1 and "1"
            texts = json.dumps(before), json.dumps(now)
        pairs = enumerate(zip_longest(*texts))
        place = next(number for number, (one, other) in pairs if one != other)
        yield f"{_around(texts[0], place)} there, {_around(texts[1], place)} now"


def _around(text: str, place: int) -> str:
    """Return a text, or what of a long one is around a place."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    start = max(0, min(place - _BEFORE, len(text) - _MOST_CHARACTERS))
    end = start + _MOST_CHARACTERS
    return f"{_CUT if start else ''}{text[start:end]}{_CUT if end < len(text) else ''}"


def _canonical(value: object) -> str:
    """Return JSON by which two values can be compared."""
    return json.dumps(value, sort_keys=True)
