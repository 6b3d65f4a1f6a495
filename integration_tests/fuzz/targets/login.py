"""Tokens and their claims, and the answers to a login."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator

from integration_tests.fuzz.answers import answering
from proxy.errors import Vantage6Error
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.v4.login import UserLogin

ERRORS = (Vantage6Error,)


def parse(data: bytes) -> None:
    """Read an input as a token, as a token's claims, and as an answer to a login."""
    refusals = []
    claims = "head." + urlsafe_b64encode(data).decode().rstrip("=") + ".signature"
    for token in (data.decode(errors="replace"), claims):
        try:
            assert isinstance(ContainerLogin(token).claims["collaboration_id"], int)
        except Vantage6Error as error:
            refusals.append(error)
    with answering(data):
        login = UserLogin("http://localhost/api", "ada", "password")
        login.renew()
        assert isinstance(login.token, str)
    if refusals:
        raise refusals[0]


def seeds() -> Iterator[bytes]:
    """Make claims, and answers."""
    claims = {"sub": {"collaboration_id": 1, "task_id": 2, "image": "an/image"}}
    yield json.dumps(claims).encode()
    yield b"200 OK\n" + json.dumps({"access_token": "a", "refresh_token": "b"}).encode()
    yield b"401 NO\n" + json.dumps({"msg": "no"}).encode()


def bombs() -> Iterator[bytes]:
    """What takes much memory or time."""
    yield b"[" * 100_000
    yield b"200 OK\n" + b"[" * 100_000
    yield b"200 OK\n" + b" " * (4 << 20)
