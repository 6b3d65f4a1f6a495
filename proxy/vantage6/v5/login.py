"""A user of vantage6 5.x logs in at Keycloak, with a browser, or as a service account.

Nothing of it is ever kept in a file. Sources: RFC 8628 (device authorization grant) and RFC 6749;
vantage6 5.0.3, `vantage6/client/__init__.py` (the realm's names), `vantage6/hq/resource/user.py`
(service accounts).
"""

import os
import re
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from proxy import strict_json
from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.text import one_line
from proxy.vantage6.login import PLAIN, content_of, reason

REALM, CLIENT = "vantage6", "public_client"
_TIMEOUT_SECONDS = (5.0, 60.0)
_MOST_BYTES = 1 << 20
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
# RFC 8628, 3.2 and 3.5.
_INTERVAL_SECONDS, _SLOWER_SECONDS = 5.0, 5.0
_TOKEN = re.compile("[ -~]+")
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@dataclass(frozen=True)
class Realm:
    """Where users log in.

    Attributes
    ----------
    url : str
        Keycloak's address.
    name : str
        The realm's name.
    """

    url: str
    name: str = REALM

    def endpoint(self, member: str) -> str:
        """Return an endpoint that the realm's document names.

        Raises
        ------
        Vantage6Error
            If there is no such realm, or it has no such endpoint, or one that is less safe.
        ServerUnreachable
            If nobody answers.
        """
        url = f"{self.url.rstrip('/')}/realms/{self.name}/.well-known/openid-configuration"
        status, answer = self._ask("GET", url)
        if status == HTTPStatus.NOT_FOUND:
            raise Vantage6Error(
                f"Keycloak at {self.url} has no realm {self.name!r}.",
                "Ask the operator for the realm's name, and give it with --auth-realm.",
            )
        if not isinstance(answer.get(member), str):
            raise Vantage6Error(
                f"The realm {self.name!r} at {self.url} offers no {member}: status {status}.",
                "Ask the operator whether that is the Keycloak of vantage6, and whether its device"
                " authorization grant is on.",
            )
        endpoint = str(answer[member])
        # A Keycloak behind a proxy that it does not know of names itself so.
        if self.url.startswith("https://") and not endpoint.startswith("https://"):
            raise Vantage6Error(
                f"The realm {self.name!r} at {self.url} names a {member} without https:"
                f" {endpoint[:200]!r}. A secret would be sent there in the clear.",
                "Ask the operator to set the public address of Keycloak (KC_HOSTNAME,"
                " KC_PROXY_HEADERS).",
            )
        return endpoint

    def post(self, url: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the members that Keycloak answers a form with."""
        return self._ask("POST", url, data=dict(form))

    def _ask(self, method: str, url: str, **more: Any) -> tuple[int, Mapping[str, Any]]:
        try:
            response = requests.request(
                method,
                url,
                headers=PLAIN,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,  # a secret is for this server alone
                stream=True,
                **more,
            )
            with response:
                content = content_of(response, _MOST_BYTES)
        except requests.RequestException as error:
            raise ServerUnreachable(
                f"No Keycloak answers at {self.url}: {reason(error)}.",
                "Check the address of --auth-server.",
            ) from error
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServerUnreachable(
                f"Keycloak at {self.url} cannot answer now: status {response.status_code}."
            )
        answer: object = {}
        with suppress(ValueError):
            answer = strict_json.loads(content)
        return response.status_code, answer if isinstance(answer, Mapping) else {}


class ServiceLogin:
    """A service account, for unattended use.

    Parameters
    ----------
    realm : Realm
        Where it logs in.
    username, secret : str
        Its name at HQ, and the secret that HQ gave when it was made.

    Raises
    ------
    Vantage6Error
        If the login is refused.
    ServerUnreachable
        If nobody answers.
    """

    def __init__(self, realm: Realm, username: str, secret: str) -> None:
        self._realm = realm
        self._url = realm.endpoint("token_endpoint")
        self._username = username
        self._secret = secret
        self.token = self._new_token()

    def renew(self) -> bool:
        """Log in again."""
        self.token = self._new_token()
        return True

    def _new_token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": f"{self._username}-user-client",
            "client_secret": self._secret,
        }
        status, answer = self._realm.post(self._url, form)
        if status != HTTPStatus.OK or not _has_token(answer):
            raise Vantage6Error(
                f"Keycloak at {self._realm.url} refuses the service account {self._username}:"
                f" {_said(answer)}.",
                "With a password, vantage6 5 takes service accounts only: check its name and its"
                " secret. Users log in with a browser: give no password.",
            )
        return str(answer["access_token"])


class DeviceLogin:
    """A user who logs in with a browser, on whatever machine.

    Parameters
    ----------
    realm : Realm
        Where they log in.
    client : str
        The realm's client for that.
    tell : Callable[[str], None]
        Shows the user where to go.
    sleep : Callable[[float], None]
        Waits for some seconds.

    Raises
    ------
    Vantage6Error
        If the user says no, or nothing in time.
    ServerUnreachable
        If nobody answers.
    """

    def __init__(
        self,
        realm: Realm,
        client: str = CLIENT,
        tell: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._realm = realm
        self._client = client
        self._url = realm.endpoint("token_endpoint")
        self._accept(self._authorized(realm.endpoint("device_authorization_endpoint"), tell, sleep))

    def renew(self) -> bool:
        """Get a new token with the refresh token, as long as that lasts."""
        if not self._refresh_token:
            return False
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client,
            "refresh_token": self._refresh_token,
        }
        status, answer = self._realm.post(self._url, form)
        if status != HTTPStatus.OK or not _has_token(answer):
            return False
        self._accept(answer)
        return True

    def _accept(self, answer: Mapping[str, Any]) -> None:
        self.token = str(answer["access_token"])
        self._refresh_token = str(answer.get("refresh_token", ""))

    def _authorized(
        self, url: str, tell: Callable[[str], None], sleep: Callable[[float], None]
    ) -> Mapping[str, Any]:
        """Return what Keycloak answers once the user has logged in."""
        status, device = self._realm.post(url, {"client_id": self._client, "scope": "openid"})
        if status != HTTPStatus.OK or not {"device_code", "verification_uri"} <= device.keys():
            raise self._refusal(device)
        page = str(device.get("verification_uri_complete") or device["verification_uri"])
        tell(one_line(f"flower-v6 | log in at {page} (code {device.get('user_code')})"))
        _open_browser(page)
        interval = _number(device.get("interval"), _INTERVAL_SECONDS)
        seconds_left = _number(device.get("expires_in"), 600.0)
        form = {
            "grant_type": _DEVICE_GRANT,
            "client_id": self._client,
            "device_code": str(device["device_code"]),
        }
        while seconds_left > 0:
            sleep(interval)
            seconds_left -= interval
            try:
                status, answer = self._realm.post(self._url, form)
            except ServerUnreachable:
                interval += _SLOWER_SECONDS
                continue
            if status == HTTPStatus.OK and _has_token(answer):
                return answer
            match answer.get("error"):
                case "authorization_pending":
                    pass
                case "slow_down":
                    interval += _SLOWER_SECONDS
                case "expired_token":
                    break
                case _:
                    raise self._refusal(answer)
        raise Vantage6Error(
            f"Nobody logged in at {page} in time.", "Start the command anew for a new code."
        )

    def _refusal(self, answer: Mapping[str, Any]) -> Vantage6Error:
        return Vantage6Error(
            f"Keycloak at {self._realm.url} refuses the login: {_said(answer)}.",
            "Ask the operator whether you may log in to vantage6.",
        )


def _open_browser(page: str) -> None:
    """Open a page in the user's browser, if there is one with a window."""
    if not page.startswith(("https://", "http://")):
        return
    if sys.platform.startswith("linux") and not any(map(os.environ.get, _DISPLAYS)):
        return  # a browser in the terminal would take it over
    with suppress(webbrowser.Error):
        webbrowser.open(page)


def _number(value: object, default: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
        return float(value)
    return default


def _has_token(answer: Mapping[str, Any]) -> bool:
    # RFC 6749, A.12. What a header cannot hold would be shown in a traceback.
    token = answer.get("access_token")
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def _said(answer: Mapping[str, Any]) -> str:
    """Return why Keycloak refuses; its answer may hold a secret, too."""
    for member in ("error_description", "error"):
        if isinstance(answer.get(member), str):
            return str(answer[member]).rstrip(".!")[:200]
    return "it gives no token"
