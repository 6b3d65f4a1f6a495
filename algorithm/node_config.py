"""What a ClientApp finds in `context.node_config`: what the task says, and the databases."""

import json

from proxy.carriers.container import Container
from proxy.errors import CarrierError


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
    """Return a TOML string that Flower's pattern for key-value pairs takes for one value."""
    if '"' not in text:
        return json.dumps(text, ensure_ascii=False)
    if "'" not in text:
        return f"'{text}'"
    raise CarrierError(f"A SuperNode's config cannot hold both kinds of quotes: {text}")
