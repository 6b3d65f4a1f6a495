"""What a vantage6 4.x algorithm container finds in its environment, for both sides of it.

Every value is base32, with "=" written as "!". Source: vantage6 4.15,
`vantage6/algorithm/tools/util.py` and `vantage6/node/docker/task_manager.py`.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from proxy.errors import CarrierError
from proxy.platforms import LOCAL, Platform, platform_of


@dataclass(frozen=True)
class Database:
    """A database of a data station, as its owner named it."""

    uri: str
    type: str


@dataclass(frozen=True)
class Container:
    """The contract of one container.

    Attributes
    ----------
    input_file, output_file : Path
        Where the container finds its input, and leaves its result.
    temporary_folder : Path
        Shared by all containers of the same job at the same station.
    databases : Mapping[str, Database]
        Those that the task asked for, by label.
    missing_databases : Sequence[str]
        Labels of those that the task asked for and the node does not have.
    platform : Platform
        What the container can rely on; it says who has a token.
    token_file : Path
        Holds the container's token for the server, if it has one.
    server : str
        The address of the server's API, as the container reaches it through its node's proxy.
    """

    input_file: Path
    output_file: Path
    temporary_folder: Path
    databases: Mapping[str, Database] = field(default_factory=dict)
    missing_databases: Sequence[str] = ()
    platform: Platform = LOCAL
    token_file: Path = Path()
    server: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment variables that say all this."""
        values = {
            "INPUT_FILE": str(self.input_file),
            "OUTPUT_FILE": str(self.output_file),
            "TEMPORARY_FOLDER": str(self.temporary_folder),
            "USER_REQUESTED_DATABASE_LABELS": ",".join([*self.databases, *self.missing_databases]),
        }
        for label, database in self.databases.items():
            values[_variable(label, "URI")] = database.uri
            values[_variable(label, "TYPE")] = database.type
        return {name: _encode(value) for name, value in values.items()}

    def job_folder(self, name: str | None) -> Path:
        """Return the folder that all functions of a job share at this station.

        Parameters
        ----------
        name : str | None
            The job's, where the platform makes no job of its creator's tasks (`Creator`). It is in
            the folder with the files of all runs of the node then: vantage6 4.15 mounts all of it,
            `vantage6/node/docker/task_manager.py`.
        """
        if name is None:
            return self.temporary_folder
        return self.input_file.parent.parent / "flower-v6" / name

    def check_databases(self) -> None:
        """Refuse to do without data.

        Raises
        ------
        CarrierError
            If the node does not have a database that the task asked for.
        """
        for label in self.missing_databases:
            raise CarrierError(
                f"The task needs the database {label!r}, which this node does not have.",
                "Add it to the databases in the node's configuration, or choose another with"
                " --database.",
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the contract.

        Raises
        ------
        CarrierError
            If a variable is missing or not encoded as it should be.
        """
        listed = _decode(environment, "USER_REQUESTED_DATABASE_LABELS")
        labels = [label for label in listed.split(",") if label]
        there = [label for label in labels if _variable(label, "URI") in environment]
        token_file, server = Path(), ""
        if "TOKEN_FILE" in environment:
            token_file = _path(environment, "TOKEN_FILE")
            host, port, path = (_decode(environment, name) for name in ("HOST", "PORT", "API_PATH"))
            server = f"{host}:{port}{path}"
        return cls(
            input_file=_path(environment, "INPUT_FILE"),
            output_file=_path(environment, "OUTPUT_FILE"),
            temporary_folder=_path(environment, "TEMPORARY_FOLDER"),
            databases={label: _database(environment, label) for label in there},
            missing_databases=tuple(label for label in labels if label not in there),
            platform=platform_of(environment),
            token_file=token_file,
            server=server,
        )


def _database(environment: Mapping[str, str], label: str) -> Database:
    uri, kind = (_decode(environment, _variable(label, name)) for name in ("URI", "TYPE"))
    return Database(uri, kind)


def decoded(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a node's container's environment variables as their authors meant them.

    A node encodes all that it sets, also what its owner lists as `algorithm_env`; the image's own
    variables are plain. Nothing but the value tells which is which: a path, a release or a list of
    options is never base32.
    """
    return {name: _decoded(value) for name, value in environment.items()}


def _decoded(value: str) -> str:
    try:
        decoded = base64.b32decode(value.replace("!", "=")).decode()
    except ValueError:
        return value
    return value if "\0" in decoded else decoded  # which no variable can hold


def _variable(label: str, name: str) -> str:
    return f"{label.upper()}_DATABASE_{name}"


def _encode(value: str) -> str:
    return base64.b32encode(value.encode()).decode().replace("=", "!")


def _decode(environment: Mapping[str, str], name: str) -> str:
    """Return what a variable says.

    Raises
    ------
    CarrierError
        If it is missing or not encoded as it should be.
    """
    try:
        return base64.b32decode(environment[name].replace("!", "=")).decode()
    except KeyError as error:
        raise CarrierError(
            f"The environment variable {name} is missing.",
            "This program is started by a vantage6 node or by the bridge itself.",
        ) from error
    except ValueError as error:
        raise CarrierError(f"The environment variable {name} is not in base32.") from error


def _path(environment: Mapping[str, str], name: str) -> Path:
    """Return the path that a variable says; raises as `_decode` does."""
    path = _decode(environment, name)
    if "\0" in path:
        raise CarrierError(f"The environment variable {name} names no file: {path!r}.")
    return Path(path)
