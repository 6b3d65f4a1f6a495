"""A stand-in for Keycloak: as much of it as HQ, nodes and clients of vantage6 5.0.3 use.

It has the realm's document, its keys, the token endpoint (service accounts, device flow, refresh;
passwords for the client of the tests alone), and of the admin API what HQ calls: users and clients.
Error words are Keycloak's.

It does not: check who calls the admin API; know sessions, logout, roles, groups, scopes, consent,
second factors or password rules; turn refresh tokens; keep anything when it ends; speak TLS; show a
page. In place of the page where a user enters the code of a device, a GET does:
`verification_uri_complete` with `&username=NAME` approves it, with `&deny=yes` denies it.
"""

import json
import secrets
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from integration_tests.vantage6_5.realm import Client, Realm, Refused
from integration_tests.vantage6_5.serving import JsonHandler, serving

ADMIN_CLIENT = "backend-admin-client"
# The client of users, which the real realm brings along; and one whose users have passwords.
USERS_CLIENT = "public_client"
TESTS_CLIENT = "tests"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_ENDPOINTS = "/protocol/openid-connect"


class Keycloak(ThreadingHTTPServer):
    """The server; `realm` may be changed while it runs.

    Parameters
    ----------
    admin_secret : str
        What HQ logs in with.
    """

    def __init__(self, admin_secret: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.admin_secret = admin_secret
        self.realm = Realm(f"http://127.0.0.1:{self.server_address[1]}")
        self.realm.add_service_account(ADMIN_CLIENT, secret=admin_secret)
        for name, grant in ((USERS_CLIENT, DEVICE_GRANT), (TESTS_CLIENT, "password")):
            grants = frozenset({grant, "refresh_token"})
            self.realm.add_client(Client(name, claim="user", grants=grants))


@contextmanager
def running_keycloak(admin_secret: str) -> Iterator[Keycloak]:
    """Have one for a while."""
    keycloak = Keycloak(admin_secret)
    with serving(keycloak):
        yield keycloak


class _Handler(JsonHandler):
    server: Keycloak

    def respond(self, path: str, query: dict[str, str], body: bytes) -> None:
        realm = self.server.realm
        path = path.replace("//", "/")
        base, admin = f"/realms/{realm.name}", f"/admin/realms/{realm.name}/"
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if path == base:
            self.answer(200, {"realm": realm.name, "public_key": realm.public_key})
        elif path == f"{base}/.well-known/openid-configuration":
            self.answer(200, self._configuration())
        elif path == f"{base}{_ENDPOINTS}/certs":
            self.answer(200, realm.key_set)
        elif path == f"{base}/device":
            self._decide(query)
        elif path in (f"{base}{_ENDPOINTS}/token", f"{base}{_ENDPOINTS}/auth/device"):
            try:
                given = self._device(form) if path.endswith("device") else self._token(form)
                self.answer(200, given)
            except Refused as refused:
                self.answer(refused.status, refused.body)
        elif path.startswith(admin):
            self._administer(path.removeprefix(admin), query, json.loads(body or b"{}"))
        else:
            self.answer(404, {"error": "Realm does not exist"})

    def _configuration(self) -> dict[str, str]:
        issuer = self.server.realm.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}{_ENDPOINTS}/auth",
            "token_endpoint": f"{issuer}{_ENDPOINTS}/token",
            "device_authorization_endpoint": f"{issuer}{_ENDPOINTS}/auth/device",
            "jwks_uri": f"{issuer}{_ENDPOINTS}/certs",
        }

    def _decide(self, query: dict[str, str]) -> None:
        device = self.server.realm.devices.get(query.get("user_code", ""))
        if device is None:
            self.answer(400, {"error": "Invalid code"})
            return
        device.user = self.server.realm.user_named(query.get("username"))
        device.denied = "deny" in query
        self.answer(200, {"approved": device.user is not None and not device.denied})

    def _client(self, form: dict[str, str], grant: str) -> Client:
        name, secret = form.get("client_id"), form.get("client_secret")
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = b64decode(credentials).decode().partition(":")
        return self.server.realm.client_for(name, secret, grant)

    def _device(self, form: dict[str, str]) -> dict[str, Any]:
        return self.server.realm.begin_device(self._client(form, DEVICE_GRANT))

    def _token(self, form: dict[str, str]) -> dict[str, Any]:
        realm, grant = self.server.realm, form.get("grant_type", "")
        client = self._client(form, grant)
        if grant == DEVICE_GRANT:
            return realm.end_device(form.get("device_code"))
        if grant == "refresh_token":
            return realm.refreshed(form.get("refresh_token"), client)
        if grant == "client_credentials":
            assert client.user is not None
            # By default Keycloak gives a service account no refresh token.
            return realm.tokens(client.user, client, refresh=False)
        user = realm.user_named(form.get("username"))
        if user is None or user.password is None or user.password != form.get("password"):
            raise Refused("invalid_grant", "Invalid user credentials", 401)
        return realm.tokens(user.shown["id"], client)

    def _administer(self, path: str, query: dict[str, str], body: dict[str, Any]) -> None:
        kind, number, part = (*path.split("/"), "", "")[:3]
        if kind == "users":
            self._administer_users(number, query, body)
        elif kind == "clients":
            self._administer_clients(number, part, query, body)
        else:
            self.answer(404, {"error": "HTTP 404 Not Found"})

    def _administer_users(self, number: str, query: dict[str, str], body: dict[str, Any]) -> None:
        realm = self.server.realm
        if not number and self.command == "GET":
            name = query.get("username")
            user = None if name is None else realm.user_named(name)
            users = realm.users.values() if name is None else [user] if user else []
            self.answer(200, [each.shown for each in users])
        elif not number:
            if realm.user_named(body["username"]) is not None:
                self.answer(409, {"errorMessage": "User exists with same username"})
                return
            password = next((each["value"] for each in body.pop("credentials", ())), None)
            user = realm.add_user(body.pop("username"), password, **body)
            self._created("users", user.shown["id"])
        elif number not in realm.users:
            self.answer(404, {"error": "User not found"})
        elif self.command == "GET":
            self.answer(200, realm.users[number].shown)
        elif self.command == "PUT":
            realm.users[number].shown |= body
            self.answer(204)
        else:
            del realm.users[number]
            self.answer(204)

    def _administer_clients(
        self, number: str, part: str, query: dict[str, str], body: dict[str, Any]
    ) -> None:
        realm = self.server.realm
        if not number and self.command == "GET":
            name = query.get("clientId")
            shown = [{"id": each.id, "clientId": each.name} for each in realm.clients.values()]
            self.answer(200, [each for each in shown if name in (None, each["clientId"])])
        elif not number:
            mapped = (each["config"] for each in body.get("protocolMappers", ()))
            claim = next((each["claim.value"] for each in mapped), None)
            self._created("clients", realm.add_service_account(body["clientId"], claim).id)
        elif number not in realm.clients:
            self.answer(404, {"error": "Could not find client"})
        elif part == "client-secret":
            if self.command == "POST":
                realm.clients[number].secret = secrets.token_urlsafe()
            self.answer(200, {"type": "secret", "value": realm.clients[number].secret})
        elif self.command == "GET":
            client = realm.clients[number]
            self.answer(200, {"id": client.id, "clientId": client.name})
        else:
            realm.users.pop(realm.clients.pop(number).user or "", None)
            self.answer(204)

    def _created(self, kind: str, number: str) -> None:
        realm = self.server.realm
        self.answer(201, Location=f"{realm.url}/admin/realms/{realm.name}/{kind}/{number}")
