"""How a run ended: the one schema of `run.json`, which a central function's result has, too.

What a release adds keeps the schema's number, and an older one passes over it. The number changes
when a member comes to mean something else.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any, Self, get_args, get_origin

from proxy import __version__, strict_json
from proxy.central.report import MessageRecord
from proxy.text import cleaned

SCHEMA = 1
STATUSES = ("completed", "failed", "cancelled")


@dataclass
class Outcome:
    """How a run ended; this is `run.json`.

    Attributes
    ----------
    mode : str
        One of `proxy.calls.Mode`.
    status : str
        One of `STATUSES`.
    cause : str
        Why, unless it is completed.
    log : str
        The end of the log that shows it.
    left_out : list[str]
        Names of members that are empty because they did not fit into a task's result.
    """

    app: str
    flower_release: str
    supernodes: str
    stations: list[str]
    mode: str = "bridge"
    bridge_release: str = __version__
    status: str = "failed"
    cause: str = ""
    log: str = ""
    flower_run: str = ""
    seconds: float = 0.0
    messages: list[MessageRecord] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def members(self) -> dict[str, Any]:
        """Return the members of the JSON object; texts that others wrote are cleaned."""
        members: dict[str, Any] = cleaned(asdict(self))
        return {"schema": SCHEMA, **members}

    def text(self, indent: int | None = None) -> str:
        """Return the JSON text."""
        return strict_json.dumps(self.members(), indent)

    @classmethod
    def checked(cls, members: object) -> Self:
        """Return the outcome that a JSON object holds; what is unknown there is left out.

        Raises
        ------
        ValueError
            If it holds none, or one of a newer schema.
        """
        if isinstance(members, Mapping):
            schema = members.get("schema", SCHEMA)
            if not isinstance(schema, int) or schema > SCHEMA:
                raise ValueError(f"its schema is {schema!r}, this bridge reads {SCHEMA}")
        outcome: Self = _decoded(cls, members, "outcome")
        if outcome.status not in STATUSES:
            raise ValueError(f"its status is {outcome.status!r}")
        return outcome


def _decoded(kind: Any, value: object, name: str) -> Any:
    """Return a value as a type that a field has; raise `ValueError` if it is of another one."""
    if kind is float and _is_number(value):
        return value
    if kind in (str, bool, int) and type(value) is kind:
        return value
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        given = {each.name: value.get(each.name) for each in fields(kind)}
        for each in fields(kind):
            if given[each.name] is not None:
                given[each.name] = _decoded(each.type, given[each.name], each.name)
            elif each.default is MISSING and each.default_factory is MISSING:
                raise ValueError(f"it has no {each.name}")
        return kind(**{key: each for key, each in given.items() if each is not None})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list and isinstance(value, list):
        return [_decoded(arguments[0], each, name) for each in value]
    if origin is dict and isinstance(value, Mapping):
        return {key: _decoded(arguments[1], each, name) for key, each in value.items()}
    if origin not in (list, dict):
        for alternative in arguments:  # of a union, in which there is no other union
            if alternative in (int, float) and _is_number(value):
                return value
    raise ValueError(f"its {name} cannot be {str(value)[:80]!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
