"""A user of vantage6 4.x logs in with a password."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests

from proxy import strict_json
from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.vantage6.login import PLAIN, bearer, content_of, reason

_TIMEOUT_SECONDS = (5.0, 60.0)
# For a token, or the reason why there is none.
_MOST_BYTES = 1 << 20


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


def _said(answer: Mapping[str, Any]) -> str:
    """Return what the server says; its answer may hold a secret, too."""
    return str(answer.get("msg", "it gives no token")).rstrip(".!")
