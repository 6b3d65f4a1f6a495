"""Who calls the server: a user, or an algorithm container with the token that its node gave it."""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Protocol

import requests

from proxy import strict_json
from proxy.errors import ServerUnreachable, Vantage6Error

_TIMEOUT_SECONDS = (5.0, 60.0)
# For a token, or the reason why there is none.
_MOST_BYTES = 1 << 20
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
    """The token in an algorithm container's token file; it lasts as long as the task."""

    def __init__(self, token: str) -> None:
        self.token = token

    def renew(self) -> bool:
        """Containers cannot."""
        return False

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the token says of its container.

        The members are `image`, `node_id`, `organization_id`, `collaboration_id`, `task_id`,
        `databases`, `study_id` and `store_id`. Source: vantage6 4.15,
        `vantage6/server/resource/token.py`.

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
            raise Vantage6Error("The token file has no token of a vantage6 node.") from error
        return dict(claims)


class UserLogin:
    """A user who logged in with a password.

    Parameters
    ----------
    url : str
        The server's API, for example "https://vantage6.example.org/api".
    username, password : str
        As at the server's web interface.
    code : str
        The code of the second factor, if the server wants one.

    Raises
    ------
    Vantage6Error
        If the server refuses the login.
    ServerUnreachable
        If it does not answer.
    """

    def __init__(self, url: str, username: str, password: str, code: str = "") -> None:
        self._url = url.rstrip("/")
        self._username = username
        body = {"username": username, "password": password}
        self._accept(self._post("token/user", body | ({"mfa_code": code} if code else {}), ""))

    def renew(self) -> bool:
        """Get a new token with the refresh token, which lasts for two days by default."""
        try:
            self._accept(self._post("token/refresh", {}, self._refresh_token))
        except ServerUnreachable:
            raise
        except Vantage6Error:
            return False
        return True

    def _accept(self, answer: Mapping[str, Any]) -> None:
        if not {"access_token", "refresh_token"} <= answer.keys():
            raise Vantage6Error(
                f"{self._url} refuses the login of {self._username}: {_said(answer)}.",
                "Check the user name, the password, and the code of the second factor.",
            )
        self.token = str(answer["access_token"])
        self._refresh_token = str(answer["refresh_token"])

    def _post(self, path: str, body: Mapping[str, str], token: str) -> Mapping[str, Any]:
        try:
            response = requests.post(
                f"{self._url}/{path}",
                json=body,
                headers=PLAIN,
                auth=bearer(token) if token else None,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,  # the password is for this server alone
                stream=True,
            )
            with response:
                content = content_of(response, _MOST_BYTES)
        except requests.RequestException as error:
            raise ServerUnreachable(
                f"No vantage6 server answers at {self._url}: {reason(error)}.", "Check the address."
            ) from error
        status = response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServerUnreachable(
                f"The vantage6 server at {self._url} cannot answer now: status {status}."
            )
        try:
            answer = strict_json.loads(content)
        except ValueError as error:
            raise Vantage6Error(
                f"{self._url} is not the API of a vantage6 server: it answered with status"
                f" {status} and no JSON.",
                "Give its full address, with the API's path: https://host/api.",
            ) from error
        return answer if isinstance(answer, Mapping) else {}


def content_of(response: requests.Response, at_most: int) -> bytes:
    """Return what a response holds; it was asked for with `PLAIN` and `stream`.

    Raises
    ------
    Vantage6Error
        If it is larger, or compressed.
    requests.RequestException
        If it was cut off.
    """
    content = bytearray()
    for piece in pieces_of(response):
        content += piece
        if len(content) > at_most:
            raise Vantage6Error(f"{response.url} answered with more than {at_most:,} bytes.")
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


def _said(answer: Mapping[str, Any]) -> str:
    """Return what the server says; its answer may hold a secret, too."""
    return str(answer.get("msg", "it gives no token")).rstrip(".!")
