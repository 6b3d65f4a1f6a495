"""Which generation's contract a container has: it shows in its environment.

Without a server's API, whose imports a courier must not wait for.
"""

from collections.abc import Mapping

from proxy.platforms import VANTAGE6_5, platform_of
from proxy.vantage6.container import Container
from proxy.vantage6.v4.container import read as read_4
from proxy.vantage6.v5.container import read as read_5

# What the bridge starts on this machine has the contract of vantage6 4.
_READERS = {VANTAGE6_5.variable: read_5}


def container_of(environment: Mapping[str, str]) -> Container:
    """Return the contract of the container that this is.

    Raises
    ------
    CarrierError
        If a variable is missing or not encoded as it should be.
    """
    return _READERS.get(platform_of(environment).variable, read_4)(environment)
