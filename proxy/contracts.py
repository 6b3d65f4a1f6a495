"""Which generation's contract a container has: it shows in its environment.

Without a server's API, and without the other generation: a courier must not wait for imports.
"""

import importlib
from collections.abc import Mapping

from proxy.platforms import VANTAGE6_5, platform_of
from proxy.vantage6.container import Container

# What the bridge starts on this machine has the contract of vantage6 4.
_USUAL_READER = "proxy.vantage6.v4.container"
_READERS = {VANTAGE6_5.variable: "proxy.vantage6.v5.container"}


def container_of(environment: Mapping[str, str]) -> Container:
    """Return the contract of the container that this is.

    Raises
    ------
    CarrierError
        If a variable is missing or not encoded as it should be.
    """
    reader = _READERS.get(platform_of(environment).variable, _USUAL_READER)
    container: Container = importlib.import_module(reader).read(environment)
    return container
