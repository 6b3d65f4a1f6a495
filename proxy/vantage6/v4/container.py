"""What a vantage6 4.x algorithm container finds in its environment, for both sides of it.

Source: vantage6 4.15, `vantage6/algorithm/tools/util.py` and
`vantage6/node/docker/task_manager.py`.
"""

from collections.abc import Mapping
from pathlib import Path

from proxy.errors import CarrierError, reason_of
from proxy.platforms import platform_of
from proxy.vantage6.container import (
    Container,
    Database,
    decoded_path,
    decoded_value,
    encoded_value,
    proxy_address,
)


def written(container: Container) -> dict[str, str]:
    """Return the environment variables that say what a contract does."""
    values = {
        "INPUT_FILE": str(container.input_file),
        "OUTPUT_FILE": str(container.output_file),
        "TEMPORARY_FOLDER": str(container.shared_folder),
        "USER_REQUESTED_DATABASE_LABELS": ",".join(
            [*container.databases, *container.missing_databases]
        ),
    }
    for label, database in container.databases.items():
        values[_variable(label, "URI")] = database.uri
        values[_variable(label, "TYPE")] = database.type
    return {name: encoded_value(value) for name, value in values.items()}


def read(environment: Mapping[str, str]) -> Container:
    """Read the contract.

    Raises
    ------
    CarrierError
        If a variable is missing or not encoded as it should be, or the token cannot be read.
    """
    listed = decoded_value(environment, "USER_REQUESTED_DATABASE_LABELS")
    labels = [label for label in listed.split(",") if label]
    there = [label for label in labels if _variable(label, "URI") in environment]
    token, server = "", ""
    if "TOKEN_FILE" in environment:
        token, server = _token(decoded_path(environment, "TOKEN_FILE")), proxy_address(environment)
    input_file = decoded_path(environment, "INPUT_FILE")
    return Container(
        input_file=input_file,
        output_file=decoded_path(environment, "OUTPUT_FILE"),
        shared_folder=decoded_path(environment, "TEMPORARY_FOLDER"),
        databases={label: _database(environment, label) for label in there},
        missing_databases=tuple(label for label in labels if label not in there),
        platform=platform_of(environment),
        # All runs of the node are below one folder, which each container has: task_manager.py.
        jobs_folder=input_file.parent.parent / "flower-v6",
        token=token,
        server=server,
    )


def _token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        raise CarrierError(f"The token file cannot be read: {reason_of(error)}.") from error


def _database(environment: Mapping[str, str], label: str) -> Database:
    uri, kind = (decoded_value(environment, _variable(label, name)) for name in ("URI", "TYPE"))
    return Database(uri, kind)


def _variable(label: str, name: str) -> str:
    return f"{label.upper()}_DATABASE_{name}"
