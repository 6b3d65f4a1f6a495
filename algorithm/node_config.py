"""Key-value pairs as Flower reads them; what a ClientApp finds in `context.node_config`."""

import json
from collections.abc import Mapping

from proxy.carriers.container import Container


def node_config(given: str, container: Container) -> str:
    """Return a SuperNode's `--node-config`.

    Parameters
    ----------
    given : str
        Key-value pairs in Flower's syntax.
    container : Container
        Its databases are added: `database-uri` and `database-type` for the first, and
        `database-<label>-uri` and `database-<label>-type` for each.
    """
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


def _quoted(text: str) -> str:
    """Return a TOML string without quotes in it: Flower's pattern would end at one."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return '"' + escaped.replace('\\"', "\\u0022") + '"'
