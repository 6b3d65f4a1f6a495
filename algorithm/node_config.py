"""What a ClientApp finds in `context.node_config`: what the task says, and the databases."""

import json

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
    pairs = [given] if given else []
    for number, (label, database) in enumerate(container.databases.items()):
        for prefix in ("database", f"database-{label}") if number == 0 else (f"database-{label}",):
            pairs.append(f"{prefix}-uri={_quoted(database.uri)}")
            pairs.append(f"{prefix}-type={_quoted(database.type)}")
    return " ".join(pairs)


def _quoted(text: str) -> str:
    """Return a TOML string without quotes in it: Flower's pattern would end at one."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return '"' + escaped.replace('\\"', "\\u0022") + '"'
