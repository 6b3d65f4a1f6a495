"""Dataclasses of what a JSON text says, checked against their fields' types."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin

# Of what Flower and we count; Python's own have no end, and no float may be so large.
_LARGEST_INT = 2**64


def decoded(kind: Any, value: object, name: str) -> Any:
    """Return a value as a type that a field has; members that it does not name are left out.

    Parameters
    ----------
    kind : Any
        A dataclass, str, bool, int, float, a list or dict of these, or a union without unions.
    value : object
        What a JSON reader returned.
    name : str
        What the value is, for errors.

    Raises
    ------
    ValueError
        If the value is of another type, or lacks a member that has no default.
    """
    if kind is float and _is_number(value):
        return value
    if kind in (str, bool, int) and type(value) is kind and (kind is not int or _is_number(value)):
        return value
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        given = {field.name: value.get(field.name) for field in fields(kind)}
        for member in fields(kind):
            if given[member.name] is not None:
                given[member.name] = decoded(member.type, given[member.name], member.name)
            elif member.default is MISSING and member.default_factory is MISSING:
                raise ValueError(f"it has no {member.name}")
        return kind(**{key: item for key, item in given.items() if item is not None})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list and isinstance(value, list):
        return [decoded(arguments[0], item, name) for item in value]
    if origin is dict and isinstance(value, Mapping):
        return {key: decoded(arguments[1], item, name) for key, item in value.items()}
    if origin not in (list, dict):
        for alternative in arguments:  # of a union, in which there is no other union
            same = alternative in (str, bool) and type(value) is alternative
            if same or (alternative in (int, float) and _is_number(value)):
                return value
    raise ValueError(f"its {name} cannot be {str(value)[:80]!r}")


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INT
