"""The generations of vantage6: what speaks their REST APIs.

A container knows its generation by its platform; a user asks the server for its version.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import requests

from proxy import strict_json
from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.platforms import VANTAGE6_4, VANTAGE6_5, Platform
from proxy.vantage6.data import Place, Prepared, Wanted
from proxy.vantage6.login import PLAIN, content_of, reason
from proxy.vantage6.server import Organization, Server
from proxy.vantage6.v4.data import prepare as prepare_4
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v5.server import Server5
from proxy.vantage6.v5.sessions import prepare as prepare_5

_TIMEOUT_SECONDS = (5.0, 60.0)
_MOST_BYTES = 1 << 16
_FIVE = 5


@dataclass(frozen=True)
class Generation:
    """What differs between the generations.

    Attributes
    ----------
    platform : Platform
        What can be relied on there.
    server : type[Server]
        The REST API.
    prepare : Prepare
        Makes data of the stations ready for a user's tasks.
    """

    platform: Platform
    server: type[Server]
    prepare: "Prepare"


class Prepare(Protocol):
    """Makes data of the stations ready for a user's tasks."""

    def __call__(
        self,
        server: Server,
        place: Place,
        stations: Sequence[Organization],
        wanted: Wanted,
        tell: Callable[[str], None],
    ) -> Prepared:
        """Return the data, ready.

        Parameters
        ----------
        server : Server
            As the user sees it.
        place : Place
            Where the data is wanted.
        stations : Sequence[Organization]
            Whose data.
        wanted : Wanted
            Which data.
        tell : Callable[[str], None]
            Hears what takes time.

        Raises
        ------
        UsageError
            If it is not there, or cannot be had.
        ServerUnreachable, Vantage6Error
            If the server does not answer or refuses, or a station fails.
        """
        ...


FOUR = Generation(VANTAGE6_4, Server4, prepare_4)
FIVE = Generation(VANTAGE6_5, Server5, prepare_5)
# What the bridge starts on this machine has the contract of vantage6 4.
_BY_PLATFORM = {VANTAGE6_4.variable: FOUR, VANTAGE6_5.variable: FIVE}


def generation_of(platform: Platform) -> Generation:
    """Return the generation of a platform."""
    return _BY_PLATFORM.get(platform.variable, FOUR)


def generation_at(url: str) -> Generation:
    """Return the generation of a server, which says its version to everybody.

    Anything else counts as generation 4: its login tells the user what answered.

    Raises
    ------
    ServerUnreachable
        If nobody answers, or not now.
    """
    try:
        with requests.get(
            f"{url.rstrip('/')}/version", headers=PLAIN, timeout=_TIMEOUT_SECONDS, stream=True
        ) as response:
            content = content_of(response, _MOST_BYTES)
    except requests.RequestException as error:
        raise ServerUnreachable(
            f"No vantage6 server answers at {url}: {reason(error)}.", "Check the address."
        ) from error
    except Vantage6Error:
        return FOUR
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ServerUnreachable(
            f"The vantage6 server at {url} cannot answer now: status {response.status_code}.",
            "Try again later, or check the address.",
        )
    try:
        major = int(str(strict_json.loads(content)["version"]).partition(".")[0])
    except (ValueError, KeyError, TypeError):
        return FOUR
    return FIVE if major >= _FIVE else FOUR
