"""Answers of a vantage6 server to what users and containers ask."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

from integration_tests.fuzz.answers import answering
from proxy.errors import CarrierError
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import Organization
from proxy.vantage6.v4.server import Server4

ERRORS = (CarrierError,)
_FOLDER = Path(mkdtemp(prefix="fuzz-"))


def parse(data: bytes) -> None:
    """Ask a server all that it may be asked."""
    server = Server4("http://localhost/api", ContainerLogin("token"))
    (_FOLDER / "payload").write_bytes(b"{}")
    alpha = Organization(1, "Alpha", "")
    questions: tuple[Callable[[], object], ...] = (
        lambda: server.organizations(1),
        lambda: server.nodes(1),
        lambda: server.run_of(1),
        lambda: server.run(1).status.explained.encode(errors="replace"),
        lambda: server.task_status(1).ended,
        server.own_organization,
        lambda: server.create_task({}, "host", alpha, _FOLDER / "payload"),
        lambda: server.save_result(1, _FOLDER / "result"),
        lambda: server.kill_task(1),
    )
    refusals = []
    with answering(data):
        for ask in questions:
            try:
                ask()
            except CarrierError as error:
                refusals.append(error)
    if refusals:
        raise refusals[0]


def seeds() -> Iterator[bytes]:
    """Make answers."""
    answers: tuple[object, ...] = (
        {"data": [{"id": 1, "name": "Alpha", "public_key": None}]},
        {"data": [{"organization": {"id": 1}, "status": "online"}]},
        {"id": 3, "status": "active", "node": None, "log": "text", "organization_id": 1},
        {"data": [{"id": 3, "result": b64encode(b"result").decode()}]},
        {"data": []},
        {"data": {}},
    )
    for answer in answers:
        yield json.dumps(answer).encode()
    yield b'404 x\n{"msg": "no", "errors": {"a": ["b"]}}'
    yield b"500 x\nno JSON"
    yield b"200 gzip\n" + gzip.compress(b"{}")


def bombs() -> Iterator[bytes]:
    """A list without end, nested text, many values, what expands."""
    yield json.dumps({"data": [{"id": number, "name": ""} for number in range(250)]}).encode()
    yield b"[" * 100_000
    yield b'{"data": [' + b"{}," * 300_000 + b"{}]}"
    yield b"404 x\n" + b"[" * 200_000
    yield b"200 gzip\n" + gzip.compress(gzip.compress(bytes(64 << 20)))
