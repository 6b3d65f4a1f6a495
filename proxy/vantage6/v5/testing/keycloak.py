"""A Keycloak that lets one user and one service account in. Seen on the tests' own stand-in."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

SECRET = "the robot's secret"  # noqa: S105
_OIDC = "/realms/vantage6/protocol/openid-connect"


class FakeKeycloak:
    """Serves the realm "vantage6"; to be closed, or use `with`.

    Parameters
    ----------
    tokens : dict[str, str]
        Where a token is noted that it gave: the HQ's.

    Attributes
    ----------
    url : str
        Its address.
    device : list[str]
        What is said of a code while the user logs in, one after the other: RFC 8628's errors;
        then the user is in.
    forms : list[dict[str, str]]
        What was posted to it.
    refreshes : bool
        Whether it takes refresh tokens.
    """

    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens
        self.device: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.refreshes = True
        self._http = _Listener(self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=[0.01])
        self._thread.start()

    def answer(self, path: str, form: dict[str, str] | None) -> tuple[int, dict[str, Any]]:
        """Answer a request."""
        if path == "/realms/vantage6/.well-known/openid-configuration":
            return 200, {
                "token_endpoint": f"{self.url}{_OIDC}/token",
                "device_authorization_endpoint": f"{self.url}{_OIDC}/auth/device",
            }
        if form is None or not path.startswith(_OIDC):
            return 404, {"error": "Realm does not exist"}
        self.forms.append(form)
        if path.endswith("/device"):
            page = f"{self.url}/device"
            return 200, {
                **{"device_code": "a device", "user_code": "ABCD-EFGH", "verification_uri": page},
                **{"verification_uri_complete": f"{page}?user_code=ABCD-EFGH", "interval": 5},
                "expires_in": 600,
            }
        return self._token(form)

    def _token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        refused = 400, {"error": "invalid_grant", "error_description": "Token is not active"}
        match form["grant_type"]:
            case "client_credentials":
                if (form["client_id"], form["client_secret"]) != ("robot-user-client", SECRET):
                    return 401, {
                        "error": "unauthorized_client",
                        "error_description": "Invalid client or Invalid client credentials",
                    }
                return 200, {"access_token": self._new()}
            case "refresh_token" if not self.refreshes:
                return refused
            case "urn:ietf:params:oauth:grant-type:device_code" if self.device:
                return 400, {"error": self.device.pop(0)}
        return 200, {"access_token": self._new(), "refresh_token": "for later"}

    def _new(self) -> str:
        token = f"access {len(self.tokens)}"
        self.tokens[token] = "access"
        return token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    def __init__(self, fake: FakeKeycloak) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        self._answer(dict(parse_qsl(text)))

    def _answer(self, form: dict[str, str] | None) -> None:
        status, answer = self.server.fake.answer(self.path, form)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
