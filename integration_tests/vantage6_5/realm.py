"""What the stand-in for Keycloak keeps: users, clients, logins under way, and the realm's key."""

import json
import secrets
import time
import uuid
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# Users' tokens say so by a mapper of their client; service accounts' clients bring it along.
_CLAIM = "vantage6_client_type"
_KEY_ID = "1"


class Refused(Exception):
    """An answer of the token endpoint that is not a token (RFC 6749, 5.2; RFC 8628, 3.5)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass
class User:
    """A user, or the service account of a client; `shown` is what the admin API shows of it."""

    shown: dict[str, Any]
    password: str | None = None


@dataclass
class Client:
    """A program that may ask for tokens; `secret` is None for a public one."""

    name: str
    secret: str | None = None
    claim: str | None = None
    user: str | None = None
    grants: frozenset[str] = frozenset()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Device:
    """A login by device flow that is under way."""

    code: str
    client: Client
    expires: float
    user: User | None = None
    denied: bool = False
    polled: float = 0.0


@dataclass(frozen=True)
class Login:
    """Whom a refresh token stands for, and until when (seconds of the clock)."""

    user: str
    client: Client
    expires: float


@dataclass
class Realm:
    """A realm with its users and clients.

    Attributes
    ----------
    url : str
        Keycloak's own.
    token_seconds, refresh_seconds : int
        How long tokens given from now on are valid.
    device_seconds, device_interval : int
        How long a login by device flow may take, and the pause that is asked for between polls.
    """

    url: str
    name: str = "vantage6"
    token_seconds: int = 14400
    refresh_seconds: int = 36000
    device_seconds: int = 600
    device_interval: int = 1
    users: dict[str, User] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    logins: dict[str, Login] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def issuer(self) -> str:
        """The realm's URL."""
        return f"{self.url}/realms/{self.name}"

    @property
    def public_key(self) -> str:
        """The key of its tokens, as the realm's document has it."""
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return b64encode(self._key.public_key().public_bytes(*form)).decode()

    @property
    def key_set(self) -> dict[str, Any]:
        """The same as a JSON web key set."""
        numbers = self._key.public_key().public_numbers()
        parts = {"n": numbers.n, "e": numbers.e}
        key = {name: _text(_bytes(number)) for name, number in parts.items()}
        return {"keys": [{"kid": _KEY_ID, "kty": "RSA", "alg": "RS256", "use": "sig", **key}]}

    def add_user(self, username: str, password: str | None = None, **more: object) -> User:
        """Create a user; returns it."""
        shown = {"id": str(uuid.uuid4()), "username": username.lower(), "enabled": True}
        user = User(shown | {"attributes": {}} | more, password)
        self.users[user.shown["id"]] = user
        return user

    def add_client(self, client: Client) -> Client:
        """Register a client; returns it."""
        self.clients[client.id] = client
        return client

    def add_service_account(
        self, name: str, claim: str | None = None, secret: str | None = None
    ) -> Client:
        """Register a client that logs in for itself, with a secret; returns it."""
        user = self.add_user(f"service-account-{name}").shown["id"]
        secret = secret or secrets.token_urlsafe()
        return self.add_client(Client(name, secret, claim, user, frozenset({"client_credentials"})))

    def user_named(self, username: str | None) -> User | None:
        """Return a user by name; None if there is none."""
        name = (username or "").lower()
        return next((each for each in self.users.values() if each.shown["username"] == name), None)

    def client_for(self, name: str | None, secret: str | None, grant: str) -> Client:
        """Return the client that asks for something, if it may.

        Raises
        ------
        Refused
            If it is unknown, has no such secret, or may not use this grant.
        """
        client = next((each for each in self.clients.values() if each.name == name), None)
        wrong = "Invalid client or Invalid client credentials"
        if client is None:
            raise Refused("invalid_client", wrong, 401)
        if client.secret != secret and client.secret is not None:
            raise Refused("unauthorized_client", wrong, 401)
        if grant not in client.grants:
            raise Refused("unauthorized_client", f"Client not allowed to use {grant}")
        return client

    def begin_device(self, client: Client) -> dict[str, Any]:
        """Begin a login by device flow; returns what the endpoint answers."""
        code, user_code = secrets.token_urlsafe(), secrets.token_hex(4).upper()
        self.devices[user_code] = Device(code, client, time.time() + self.device_seconds)
        page = f"{self.issuer}/device"
        return {
            "device_code": code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={user_code}",
            "expires_in": self.device_seconds,
            "interval": self.device_interval,
        }

    def end_device(self, code: str | None) -> dict[str, Any]:
        """Return the tokens of a login by device flow, once it was approved.

        Raises
        ------
        Refused
            If it was not, with RFC 8628's word for why.
        """
        device = next((each for each in self.devices.values() if each.code == code), None)
        if device is None:
            raise Refused("invalid_grant", "Device code not valid")
        now = time.time()
        early, device.polled = now < device.polled + self.device_interval, now
        if now > device.expires:
            raise Refused("expired_token", "Device code is expired")
        if device.denied:
            raise Refused("access_denied", "The end user denied the authorization request")
        if early:
            raise Refused("slow_down", "Slow down")
        if device.user is None:
            raise Refused("authorization_pending", "The authorization request is still pending")
        self.devices = {name: each for name, each in self.devices.items() if each is not device}
        return self.tokens(device.user.shown["id"], device.client)

    def refreshed(self, token: str | None, client: Client) -> dict[str, Any]:
        """Return new tokens for a refresh token.

        Raises
        ------
        Refused
            If it is none, not this client's, or too old.
        """
        login = self.logins.get(token or "")
        if login is None or login.client is not client:
            raise Refused("invalid_grant", "Invalid refresh token")
        if time.time() > login.expires or login.user not in self.users:
            raise Refused("invalid_grant", "Token is not active")
        return self.tokens(login.user, client)

    def tokens(self, user: str, client: Client, refresh: bool = True) -> dict[str, Any]:
        """Return tokens for a user."""
        now = int(time.time())
        claims = {
            "exp": now + self.token_seconds,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "aud": "account",
            "sub": user,
            "typ": "Bearer",
            "azp": client.name,
            "scope": "profile email",
            "preferred_username": self.users[user].shown["username"],
        } | ({_CLAIM: client.claim} if client.claim else {})
        answer = {
            "access_token": self._signed(claims),
            "expires_in": self.token_seconds,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "profile email",
        }
        if refresh:
            token = secrets.token_urlsafe()
            self.logins[token] = Login(user, client, now + self.refresh_seconds)
            answer |= {"refresh_token": token, "refresh_expires_in": self.refresh_seconds}
        return answer

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "typ": "JWT", "kid": _KEY_ID}
        content = ".".join(_text(json.dumps(each).encode()) for each in (header, claims))
        signature = self._key.sign(content.encode(), PKCS1v15(), SHA256())
        return f"{content}.{_text(signature)}"


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
