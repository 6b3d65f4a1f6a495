"""What differs between Flower releases: one table. Nothing else in the bridge asks for a version.

A row is an era: consecutive releases that behave alike. A release that changes nothing needs no
edit, because the newest era is open-ended. Sources: the command lines' own `--help` and
`flwr/supernode/fleet_http_client.py`, flwr 1.40 to 1.42.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.errors import FlowerError

Version = tuple[int, int]

# Fleet methods by the name that all eras of the object model give them.
_HTTP_PATHS = {
    method: "/v1/fleet/" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", method).lower()
    for method in (
        "RegisterNode",
        "ActivateNode",
        "DeactivateNode",
        "UnregisterNode",
        "SendNodeHeartbeat",
        "PullMessages",
        "PushMessages",
        "PullObject",
        "PushObject",
        "ConfirmMessageReceived",
        "GetRun",
        "GetFab",
    )
}


@dataclass(frozen=True)
class Era:
    """Releases of Flower that behave alike towards the bridge.

    Attributes
    ----------
    first : Version
        The first release (major, minor) of the era; it lasts until the next era's first.
    paths : Mapping[str, str]
        Where each Fleet method is served over HTTP.
    superlink : tuple[str, ...]
        The command that starts a SuperLink; `{host}` and `{port}` stand for its one address.
    supernode : tuple[str, ...]
        The command that starts a SuperNode; `{superlink}` stands for the Fleet API's address,
        `{host}` and `{port}` for the address of its own API, `{node_config}` for its config.
    """

    first: Version
    paths: Mapping[str, str]
    superlink: tuple[str, ...]
    supernode: tuple[str, ...]


ERAS = (
    Era(
        first=(1, 40),
        paths=_HTTP_PATHS,
        superlink=(
            *("flower-superlink", "--insecure", "--host", "{host}", "--port", "{port}"),
            "--disable-runtime-dependency-installation",
        ),
        supernode=(
            *("flower-supernode", "--insecure", "--superlink", "{superlink}"),
            *("--host", "{host}", "--port", "{port}", "--node-config", "{node_config}"),
        ),
    ),
)
NEWEST = ERAS[-1]


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
