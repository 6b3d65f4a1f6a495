"""The arguments of the central function, checked before anything starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from proxy.calls import (
    DEFAULT_DEADLINE_SECONDS,
    DEFAULT_LIFETIME,
    DEFAULT_MODE,
    LONGEST_SECONDS,
    Lifetime,
    Mode,
)
from proxy.errors import UsageError

# As a command line and a task name them.
SUPERNODES = tuple(lifetime.value for lifetime in Lifetime)


@dataclass(frozen=True)
class Arguments:
    """The `kwargs` of the task, as a researcher writes them; null stands for the default.

    Attributes
    ----------
    run_config : Mapping[str, Any]
        What overrides the app's run config, by key.
    organizations : Sequence[int | str]
        Ids or names of the organizations whose nodes are stations; empty for all.
    supernodes : Lifetime
        How long a station keeps its SuperNode.
    mode : Mode
        How the app runs.
    deadline : float
        Seconds that a station may take for a message.
    idle_limit : float
        Seconds without a message after which a warm SuperNode ends; twice the deadline if it is
        not given.
    dataframes : Sequence[int]
        In vantage6 5, further dataframes of the session that ClientApps get, by their ids.
    """

    run_config: Mapping[str, Any] = field(default_factory=dict)
    organizations: Sequence[int | str] = ()
    supernodes: Lifetime = DEFAULT_LIFETIME
    mode: Mode = DEFAULT_MODE
    deadline: float = DEFAULT_DEADLINE_SECONDS
    idle_limit: float = 0.0
    dataframes: Sequence[int] = ()

    @classmethod
    def checked(cls, given: object, run_config_keys: Sequence[str]) -> Self:
        """Return arguments that make sense.

        Parameters
        ----------
        given : object
            The task's `kwargs`.
        run_config_keys : Sequence[str]
            The keys of the run config that may be overridden.

        Raises
        ------
        UsageError
            If one is unknown or has a value that it cannot have; it says which may be given.
        """
        if not isinstance(given, dict):
            raise UsageError(f"The task's kwargs are not a JSON object, but {given!r}.")
        names = [member.name for member in fields(cls)]
        for name in given:
            if name not in names:
                raise UsageError(
                    f"The central function has no argument {name!r}.", f"There are: {_all(names)}."
                )
        made = cls(**{name: value for name, value in given.items() if value is not None})
        _check_run_config(made.run_config, run_config_keys)
        if not isinstance(made.organizations, (list, tuple)) or any(
            not isinstance(organization, (int, str)) or isinstance(organization, bool)
            for organization in made.organizations
        ):
            raise _unusable("organizations", made.organizations, "a list of ids or names")
        if not isinstance(made.dataframes, (list, tuple)) or any(
            not isinstance(dataframe, int) or isinstance(dataframe, bool)
            for dataframe in made.dataframes
        ):
            raise _unusable("dataframes", made.dataframes, "a list of ids")
        if made.supernodes not in SUPERNODES:
            raise _unusable("supernodes", made.supernodes, _all(SUPERNODES))
        if made.mode not in tuple(Mode):
            raise _unusable("mode", made.mode, _all(tuple(Mode)))
        for name in ("deadline", "idle_limit"):
            value = getattr(made, name)
            if given.get(name) is not None and not _is_duration(value):
                raise _unusable(
                    name, value, f"a number of seconds above 0, {LONGEST_SECONDS:.0f} at most"
                )
        return replace(made, supernodes=Lifetime(made.supernodes), mode=Mode(made.mode))

    @property
    def host_idle_limit(self) -> float | None:
        """Seconds after which a host ends; None if there are to be none."""
        if self.supernodes != Lifetime.WARM:
            return None
        # A station may have to wait for all others to take their time.
        return self.idle_limit or min(2 * self.deadline, LONGEST_SECONDS)


def _check_run_config(run_config: object, allowed: Sequence[str]) -> None:
    if not isinstance(run_config, dict):
        raise _unusable("run_config", run_config, "an object: a value for each key")
    for key, value in run_config.items():
        if key not in allowed:
            raise UsageError(
                f"The app's run config has no key {key!r} to override.",
                f"There are: {_all(allowed) or 'none'}.",
            )
        if not isinstance(value, (bool, int, float, str)):
            raise _unusable(f"run_config[{key!r}]", value, "a number, a string, true or false")


def _is_duration(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value <= LONGEST_SECONDS


def _unusable(name: str, value: object, allowed: str) -> UsageError:
    return UsageError(f"{name} cannot be {value!r}.", f"Give {allowed}.")


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
