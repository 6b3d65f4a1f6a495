"""What differs between Flower releases: one table. Nothing else in the bridge asks for a version.

A row is an era: consecutive releases that behave alike. A row says only what changed with it. A
release that changes nothing needs no edit, because the newest era is open-ended. Sources: the
programs' own `--help`, and the clients of the Fleet API (`flwr/client/grpc_rere_client/`, from
1.40 `flwr/supernode/fleet_http_client.py`) of the releases that are named.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from proxy.errors import FlowerError

Version = tuple[int, int]


@dataclass(frozen=True)
class Era:
    """Releases of Flower that behave alike towards the bridge.

    In commands, `{fleet}`, `{control}`, `{other}` and `{another}` stand for addresses of this
    machine, HOST:PORT, that nobody else uses; `{fleet_port}` and so on for their ports.

    Attributes
    ----------
    first : Version
        The first release (major, minor) of the era; it lasts until the next era's first.
    transport : str
        How the Fleet API is reached.
    superlink : tuple[str, ...]
        The command that starts a SuperLink with its Fleet API at `{fleet}`.
    control : str
        Where `flwr run` reaches that SuperLink.
    connections : str
        Where `flwr run` looks for that address: in the app's "pyproject.toml", or in
        "config.toml" in the Flower home.
    list_runs : tuple[str, ...]
        The command that lists the runs of that SuperLink; `{app}` stands for the app's folder,
        `{name}` for the name under which `connections` has the SuperLink.
    supernode : tuple[str, ...]
        The command that starts a SuperNode; `{superlink}` stands for the Fleet API's address,
        `{node_config}` for its config.
    """

    first: Version
    transport: Literal["grpc", "http"]
    superlink: tuple[str, ...]
    control: str
    connections: Literal["pyproject.toml", "config.toml"]
    list_runs: tuple[str, ...]
    supernode: tuple[str, ...]


_SUPERLINK = ("flower-superlink", "--insecure")
_SUPERNODE = ("flower-supernode", "--insecure", "--superlink", "{superlink}")
_GRPC_APIS = ("--serverappio-api-address", "{other}", "--simulationio-api-address", "{another}")
_DO_NOT_INSTALL = "--disable-runtime-dependency-installation"

_1_20 = Era(
    first=(1, 20),
    transport="grpc",
    superlink=(
        *(*_SUPERLINK, "--fleet-api-address", "{fleet}", "--exec-api-address", "{control}"),
        *_GRPC_APIS,
    ),
    control="{control}",
    connections="pyproject.toml",
    list_runs=("flwr", "ls", "{app}", "{name}", "--format=json"),
    supernode=(
        *(*_SUPERNODE, "--clientappio-api-address", "{other}"),
        *("--node-config", "{node_config}"),
    ),
)
_1_21 = replace(
    _1_20,
    first=(1, 21),
    superlink=(
        *(*_SUPERLINK, "--fleet-api-address", "{fleet}", "--control-api-address", "{control}"),
        *_GRPC_APIS,
    ),
)
_1_26 = replace(
    _1_21,
    first=(1, 26),
    connections="config.toml",
    list_runs=("flwr", "ls", "{name}", "--format=json"),
)
_1_32 = replace(_1_26, first=(1, 32), superlink=(*_1_26.superlink, _DO_NOT_INSTALL))
_1_33 = replace(
    _1_32,
    first=(1, 33),
    superlink=(
        *(*_SUPERLINK, "--fleet-api-address", "{fleet}", "--control-api-address", "{control}"),
        *("--host", "127.0.0.1", "--port", "{other_port}", _DO_NOT_INSTALL),
    ),
)
_1_35 = replace(
    _1_33,
    first=(1, 35),
    supernode=(
        *(*_SUPERNODE, "--host", "127.0.0.1", "--port", "{other_port}"),
        *("--node-config", "{node_config}"),
    ),
)
_1_37 = replace(_1_35, first=(1, 37), control="{other}")
_1_40 = replace(
    _1_37,
    first=(1, 40),
    transport="http",
    superlink=(*(*_SUPERLINK, "--host", "127.0.0.1", "--port", "{fleet_port}", _DO_NOT_INSTALL),),
    control="{fleet}",
)
ERAS = (_1_20, _1_21, _1_26, _1_32, _1_33, _1_35, _1_37, _1_40)


def era_of(release: str) -> Era:
    """Return the era of a Flower release.

    Parameters
    ----------
    release : str
        A version as `flwr --version` says it, for example "1.41.0".

    Raises
    ------
    FlowerError
        If the release is older than all that the bridge supports, or no version.
    """
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers:
        version = (int(numbers[1]), int(numbers[2]))
        for era in reversed(ERAS):
            if version >= era.first:
                return era
    oldest = ".".join(map(str, ERAS[0].first))
    raise FlowerError(
        f"Flower {release} is not supported: the bridge speaks to flwr {oldest} and newer.",
        f"Install a newer release into the Flower environment: pip install 'flwr>={oldest}'.",
    )
