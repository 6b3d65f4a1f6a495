"""How a run ended: the one schema of `run.json`, which a central function's result has, too.

What a release adds keeps the schema's number, and an older one passes over it. The number changes
when a member comes to mean something else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from algorithm.monitoring.typed_json import decoded
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
    run_config : dict[str, str | int | float | bool]
        The app's run config, as the run had it: its defaults, and what overrode them.
    environment : dict[str, str]
        The central's machine: `python` (of the bridge), `system`, `machine`, `processors`.
    packages : dict[str, str]
        Releases of what is installed in Flower's environment at the central, by name.
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
    run_config: dict[str, str | int | float | bool] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
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
        outcome: Self = decoded(cls, members, "outcome")
        if outcome.status not in STATUSES:
            raise ValueError(f"its status is {outcome.status!r}")
        return outcome
