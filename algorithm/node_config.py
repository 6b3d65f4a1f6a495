"""Key-value pairs as Flower reads them; what a ClientApp finds in `context.node_config`."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from algorithm import strict_toml
from algorithm.paths import expanded
from proxy.carriers.container import Container
from proxy.errors import UsageError, reason_of

_FROM_CENTRAL = {"partition-id", "num-partitions"}
# Integers of a node config are sint64 (flwr 1.41, `proto/transport.proto`).
_PARTITION_LIMIT = 1 << 63
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
        the rest.

    Raises
    ------
    UsageError
        If a central says more than which partition the station is, in numbers: what else a
        ClientApp reads from there is the station's own business.
    """
    if container.platform.station_owns_config:
        # The pattern takes the square of a text without "=", so what a central says is kept short.
        if len(given) > _MOST_CHARACTERS:
            raise UsageError(f"The task's node config has {len(given):,} characters: too many.")
        for key, value in parsed(given, "node config").items():
            if key not in _FROM_CENTRAL:
                raise UsageError(f"The task's node config {given!r} says more than the partition.")
            if type(value) is not int or not 0 <= value < _PARTITION_LIMIT:
                raise UsageError(f"In the task's node config, {key} cannot be {value!r}.")
    found: dict[str, str] = {}
    for number, (label, database) in enumerate(container.databases.items()):
        for prefix in ("database", f"database-{label}") if number == 0 else (f"database-{label}",):
            found |= {f"{prefix}-uri": database.uri, f"{prefix}-type": database.type}
    return " ".join(filter(None, [given, pairs(found)]))


def pairs(values: Mapping[str, bool | int | float | str]) -> str:
    """Return values by key as the pairs that `--run-config` and `--node-config` take."""
    return " ".join(
        f"{key}={_quoted(value) if isinstance(value, str) else json.dumps(value)}"
        for key, value in values.items()
    )


def parsed(text: str, what: str) -> dict[str, Any]:
    """Return what key-value pairs say, by key.

    Parameters
    ----------
    text : str
        The pairs.
    what : str
        What they are, for errors.

    Raises
    ------
    UsageError
        If they have a syntax error.
    """
    try:
        found = strict_toml.loads(as_toml(text))
    except ValueError as error:
        raise UsageError(
            f"The {what} {text!r} is not understood: {error}.",
            "Write key=value pairs with TOML values: 'device=\"cpu\" partition-id=0'.",
        ) from error
    if rest := _PAIR.sub("", text).strip():
        raise UsageError(f"The {what} {text!r} has something that is no key=value pair: {rest!r}.")
    return flat(found)


def as_toml(text: str) -> str:
    """Return key-value pairs as the TOML that Flower makes of them."""
    return "\n".join(f"{key} = {value}" for key, value in _PAIR.findall(text))


def pairs_of(given: str) -> str:
    """Return the pairs that a `--node-config` says: itself, or what is in the TOML file it names.

    Raises
    ------
    UsageError
        If the file cannot be read.
    """
    return pairs(_in_file(given, "node config")) if given.endswith(_FILE_ENDING) else given


def run_config(given: Sequence[str]) -> dict[str, Any]:
    """Return what `--run-config` says, which may be given several times; as `flwr run` reads it.

    Raises
    ------
    UsageError
        If it is neither key-value pairs nor one TOML file.
    """
    if len(given) == 1 and given[0].endswith(_FILE_ENDING):
        return _in_file(given[0], "run config")
    found: dict[str, Any] = {}
    for each in given:
        found |= parsed(each, "run config")
    try:
        json.dumps(found)
    except TypeError as error:
        raise UsageError(
            "The run config has a value that is neither a number, a string, true nor false."
        ) from error
    return found


def _in_file(name: str, what: str) -> dict[str, Any]:
    try:
        return flat(strict_toml.loads(expanded(name).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(f"The {what} {name} cannot be read: {reason_of(error)}.") from error


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their keys joined with dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _quoted(text: str) -> str:
    """Return a TOML string without quotes in it: Flower's pattern would end at one."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return '"' + escaped.replace('\\"', "\\u0022") + '"'
