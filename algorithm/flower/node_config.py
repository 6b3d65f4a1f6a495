"""Key-value pairs as Flower reads them; what a ClientApp finds in `context.node_config`."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithm.flower import strict_toml
from algorithm.paths import expanded
from proxy.errors import UsageError, reason_of
from proxy.vantage6.container import Container

STATION_NAME = "station-name"
"""The key under which a ClientApp finds its station's name."""

STATION_NAME_VARIABLE = "FLOWER_V6_STATION_NAME"
"""How the owner of a vantage6 node names its station, in the node's `algorithm_env`."""

_FROM_CENTRAL = {"partition-id", "num-partitions"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_MAX_INT = 1 << 63
_MOST_CHARACTERS = 1000
# Source: flwr 1.41, `parse_config_args` in flwr/common/config.py.
_FILE_ENDING = ".toml"
_PAIR = re.compile(r"""(\S+?)=('[^']*'|"[^"]*"|\S+)""")


def node_config(given: str, container: Container) -> str:
    """Return a SuperNode's `--node-config`.

    Parameters
    ----------
    given : str
        Key-value pairs in Flower's syntax.
    container : Container
        Its databases are added: `database-uri` and `database-type` for the first, and
        `database-<label>-uri` and `database-<label>-type` for each. Its platform says who chooses
        the rest. Where it is the station's owner, `STATION_NAME_VARIABLE` of the environment names
        the station.

    Raises
    ------
    UsageError
        If it is none, or if a central says more than which partition the station is, in numbers:
        what else a ClientApp reads from there is the station's own business.
    """
    from_central = container.platform.station_owns_config
    # The pattern takes the square of a text without "=", so what a central says is kept short.
    if from_central and len(given) > _MOST_CHARACTERS:
        raise UsageError(f"The task's node config has {len(given):,} characters: too many.")
    values = parsed(given, "node config")
    for key, value in values.items() if from_central else ():
        if key not in _FROM_CENTRAL:
            raise UsageError(f"The task's node config {given!r} says more than the partition.")
        if type(value) is not int or value < 0:
            raise UsageError(f"In the task's node config, {key} cannot be {value!r}.")
    added: dict[str, str] = {}
    if from_central and (name := os.environ.get(STATION_NAME_VARIABLE)):
        added[STATION_NAME] = name
    for number, (label, database) in enumerate(container.databases.items()):
        for prefix in ("database", f"database-{label}") if number == 0 else (f"database-{label}",):
            added |= {f"{prefix}-uri": database.uri, f"{prefix}-type": database.type}
    # What was checked is what Flower reads: not `given`, which it might read in another way.
    return pairs({**values, **added})


def pairs(values: Mapping[str, bool | int | float | str]) -> str:
    """Return values by key as the pairs that `--run-config` and `--node-config` take."""
    return " ".join(
        f"{key if _BARE_KEY.fullmatch(key) else _quoted_key(key)}={_toml(value)}"
        for key, value in values.items()
    )


def parsed(text: str, subject: str) -> dict[str, Any]:
    """Return what key-value pairs say, by key.

    Parameters
    ----------
    text : str
        The pairs.
    subject : str
        What they are, for errors.

    Raises
    ------
    UsageError
        If they have a syntax error, or a value that no config takes.
    """
    try:
        values = strict_toml.loads(as_toml(text))
    except ValueError as error:
        raise UsageError(
            f"The {subject} {text!r} is not valid: {error}.",
            "Write key=value pairs with TOML values: 'device=\"cpu\" partition-id=0'.",
        ) from error
    if rest := _PAIR.sub("", text).strip():
        raise UsageError(
            f"The {subject} {text!r} has a part that is not a key=value pair: {rest!r}."
        )
    return _checked(flat(values), subject)


def as_toml(text: str) -> str:
    """Return key-value pairs as the TOML that Flower makes of them."""
    return "\n".join(f"{key} = {value}" for key, value in _PAIR.findall(text))


def pairs_of(given: str) -> str:
    """Return the pairs that a `--node-config` says: itself, or what is in the TOML file it names.

    Raises
    ------
    UsageError
        If the file cannot be read, or has a value that no config takes.
    """
    return pairs(_in_file(given, "node config")) if given.endswith(_FILE_ENDING) else given


def run_config(given: Sequence[str]) -> dict[str, Any]:
    """Return what `--run-config` says, which may be given several times; as `flwr run` reads it.

    Raises
    ------
    UsageError
        If it is neither key-value pairs nor one TOML file, or has a value that no config takes.
    """
    if len(given) == 1 and given[0].endswith(_FILE_ENDING):
        return _in_file(given[0], "run config")
    config: dict[str, Any] = {}
    for option in given:
        parsed(option, "run config")  # for its errors
        # A table takes the place of the one in an option before (flwr 1.41, `parse_config_args`).
        config |= strict_toml.loads(as_toml(option))
    return flat(config)


def _in_file(name: str, subject: str) -> dict[str, Any]:
    try:
        values = strict_toml.loads(expanded(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The {subject} {name} cannot be read: {reason_of(error)}.") from error
    return _checked(flat(values), subject)


def check_values(values: Mapping[str, object], subject: str) -> None:
    """Refuse values that Flower has no form for; it has one for infinities and NaN.

    Source: flwr 1.20 to 1.42, `validate_config` and `user_config_value_to_proto` in
    flwr/common/config.py and flwr/common/serde.py: an integer is a sint64.

    Raises
    ------
    UsageError
        If there is one; it names the key.
    """
    for key, value in values.items():
        fits = isinstance(value, str | float) or (
            isinstance(value, int) and -_MAX_INT <= value < _MAX_INT
        )
        if not fits:
            raise UsageError(
                f"The {subject} has {key}={value}, which is no value for a config.",
                "Give a number (a whole one of at most 64 bits), a string, true or false.",
            )


def check_keys(values: Mapping[str, object], app: Path) -> None:
    """Refuse keys of a run config that an app, by its folder, does not declare, as Flower does.

    Raises
    ------
    UsageError
        If there is one.
    """
    try:
        declared = strict_toml.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
        keys = flat(declared["tool"]["flwr"]["app"].get("config", {})).keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # It is no app, as its build says.
    for key in values:
        if key not in keys:
            raise UsageError(
                f"The app has no key {key!r} in its run config.",
                f"There are: {', '.join(keys) or 'none'}.",
            )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their keys joined with dots."""
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{key}.")
        else:
            flattened[f"{prefix}{key}"] = value
    return flattened


def _checked(values: dict[str, Any], subject: str) -> dict[str, Any]:
    check_values(values, subject)
    return values


def _toml(value: bool | int | float | str) -> str:
    if isinstance(value, str):
        return _quoted(value)
    # Of floats, JSON writes infinities and NaN in another way.
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _quoted_key(key: str) -> str:
    """Return a key in quotes, without what ends one in Flower's pattern."""
    return re.sub(r"[\s=]", lambda match: f"\\u{ord(match[0]):04x}", _quoted(key))


def _quoted(text: str) -> str:
    """Return a TOML string without quotes in it: Flower's pattern would end at one."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return '"' + escaped.replace('\\"', "\\u0022") + '"'
