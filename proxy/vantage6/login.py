"""Who calls the server: a user, or an algorithm container with the token that its node gave it."""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import requests

from proxy import strict_json
from proxy.errors import TooLarge, Vantage6Error

_PIECE_BYTES = 1 << 20
# Asks for an answer that is not compressed.
PLAIN = {"Accept-Encoding": "identity"}


class Login(Protocol):
    """Holds a token for the server's API."""

    @property
    def token(self) -> str:
        """The token."""
        ...

    def renew(self) -> bool:
        """Get a new token, if that is possible; returns whether it was."""
        ...


class ContainerLogin:
    """An algorithm container's token; it lasts as long as the task."""

    def __init__(self, token: str) -> None:
        self.token = token

    def renew(self) -> bool:
        """Containers cannot."""
        return False

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the token says of its container.

        The members are `image`, `node_id`, `organization_id`, `collaboration_id`, `task_id`,
        `databases`, `study_id` and `store_id`; in vantage6 5 also `session_id`. Sources: vantage6
        4.15, `vantage6/server/resource/token.py`; 5.0.3, `vantage6/hq/resource/token.py`.

        Raises
        ------
        Vantage6Error
            If it is no such token.
        """
        try:
            body = self.token.split(".")[1]
            claims = strict_json.loads(urlsafe_b64decode(body + "=="))["sub"]
            for name in ("collaboration_id", "task_id"):
                if not isinstance(claims[name], int):
                    raise ValueError(f"its {name} is no number")
        except (IndexError, ValueError, KeyError, TypeError) as error:
            raise Vantage6Error("The container has no token of a vantage6 node.") from error
        return dict(claims)


def content_of(response: requests.Response, at_most: int) -> bytes:
    """Return what a response holds; it was asked for with `PLAIN` and `stream`.

    Raises
    ------
    TooLarge, Vantage6Error
        If it is larger, or compressed.
    requests.RequestException
        If it was cut off.
    """
    content = bytearray()
    for piece in pieces_of(response):
        content += piece
        if len(content) > at_most:
            raise TooLarge(f"{response.url} answered with more than {at_most:,} bytes.")
    return bytes(content)


def pieces_of(response: requests.Response) -> Iterator[bytes]:
    """Yield what a response holds, as it comes; see `content_of`."""
    # A megabyte that is compressed twice is a terabyte.
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Vantage6Error(
            f"{response.url} answered with compressed data, which was not asked for.",
            "Switch compression off in the server, or in the proxy before it.",
        )
    yield from response.iter_content(_PIECE_BYTES)


def bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what adds a token to a request, whatever a .netrc file says of the host."""

    def add(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return add


def reason(error: requests.RequestException) -> str:
    """Return what lies under layers of libraries: "Connection refused"."""
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    return (isinstance(cause, OSError) and cause.strerror) or str(cause)
