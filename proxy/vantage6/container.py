"""What an algorithm container of vantage6 finds, whatever its generation, and how it is encoded.

Every value is base32, with "=" written as "!". Sources: vantage6 4.15,
`vantage6/algorithm/tools/util.py` and `vantage6/node/docker/task_manager.py`; vantage6 5.0.3,
`vantage6/node/k8s/container_manager.py`.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import CarrierError
from proxy.platforms import LOCAL, Platform


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
    shared_folder : Path
        Shared by all containers of the same job at the same station.
    databases : Mapping[str, Database]
        Those that the task asked for, by label.
    missing_databases : Sequence[str]
        Labels of those that the task asked for and the node does not have.
    platform : Platform
        What the container can rely on; it says who has a token.
    jobs_folder : Path
        Holds a folder for each job that has a name.
    method : str
        The function to call; empty where the input names it.
    token : str
        The container's token for the server, if it has one.
    server : str
        The address of the server's API, as the container reaches it through its node's proxy.
    """

    input_file: Path
    output_file: Path
    shared_folder: Path
    databases: Mapping[str, Database] = field(default_factory=dict)
    missing_databases: Sequence[str] = ()
    platform: Platform = LOCAL
    jobs_folder: Path = Path()
    method: str = ""
    token: str = field(default="", repr=False)
    server: str = ""

    def job_folder(self, name: str | None) -> Path:
        """Return the folder that all functions of a job share at this station.

        Parameters
        ----------
        name : str | None
            The job's, where the platform makes no job of its creator's tasks (`Creator`).
        """
        return self.shared_folder if name is None else self.jobs_folder / name

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


def encoded_value(value: str) -> str:
    """Return a value as a node sets it."""
    return base64.b32encode(value.encode()).decode().replace("=", "!")


def decoded_value(environment: Mapping[str, str], name: str) -> str:
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


def decoded_path(environment: Mapping[str, str], name: str) -> Path:
    """Return the path that a variable says; raises as `decoded_value` does."""
    path = decoded_value(environment, name)
    if "\0" in path:
        raise CarrierError(f"The environment variable {name} names no file: {path!r}.")
    return Path(path)


def proxy_address(environment: Mapping[str, str]) -> str:
    """Return where the node's proxy is; raises as `decoded_value` does."""
    host, port, path = (decoded_value(environment, name) for name in ("HOST", "PORT", "API_PATH"))
    return f"{host}:{port}{path}"
