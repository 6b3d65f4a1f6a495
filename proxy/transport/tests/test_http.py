"""Calling a SuperLink over HTTP: signed as a SuperNode signs, refused as a SuperLink refuses."""

import json
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from proxy.errors import (
    ClocksDiffer,
    FleetError,
    RunNotRunning,
    Unimplemented,
    UnknownNode,
    Unreachable,
)
from proxy.tests.helpers import PATHS
from proxy.transport.http import HttpTransport
from proxy.transport.node_key import NodeKey


class Listener(ThreadingHTTPServer):
    """An HTTP server that answers as the test says, and notes what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.answer = 200, b"the answer"
        self.clock_ahead = 0.0
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.address = f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(time.time() + self.server.clock_ahead)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.serve_forever, args=[0.01])
    thread.start()
    yield listener
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture
def transport(listener: Listener) -> Iterator[HttpTransport]:
    transport = HttpTransport(listener.address)
    yield transport
    transport.close()


# Calls


@pytest.mark.parametrize(("method", "path"), PATHS.items())
def test_every_method_is_called_at_its_path(
    transport: HttpTransport, listener: Listener, method: str, path: str
) -> None:
    assert transport.call(method, b"request") == b"the answer"
    assert listener.paths == [path]
    assert listener.bodies == [b"request"]
    assert listener.headers[0]["content-type"] == "application/protobuf"


def test_every_call_is_signed_with_the_nodes_key_and_the_time(
    transport: HttpTransport, listener: Listener
) -> None:
    node_key = NodeKey.new()
    key = node_key.public_bytes
    transport.use_key(node_key)
    transport.call("PullMessages", b"")
    headers = listener.headers[0]
    assert b64decode(headers["flwr-public-key"], validate=True) == key
    public_key = load_pem_public_key(key)
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert public_key.curve.name == "secp384r1"  # the one that Flower uses
    public_key.verify(  # raises if it is not the signature of the timestamp
        b64decode(headers["flwr-signature"], validate=True),
        headers["flwr-timestamp"].encode(),
        ec.ECDSA(hashes.SHA256()),
    )
    age = datetime.now(UTC) - datetime.fromisoformat(headers["flwr-timestamp"])
    assert timedelta(0) <= age < timedelta(minutes=5)


def test_a_superlink_is_reached_directly_whatever_proxies_the_environment_names(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert HttpTransport(listener.address).call("GetRun", b"") == b"the answer"


# Refusals


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, RunNotRunning),
        (401, UnknownNode),
        (502, Unreachable),
        (503, Unreachable),
        (504, Unreachable),
        (400, FleetError),
        (404, Unimplemented),
        (412, FleetError),
        (500, FleetError),
    ],
)
def test_a_refusal_is_an_error_of_its_kind_that_names_call_and_status(
    transport: HttpTransport, listener: Listener, status: int, error: type[FleetError]
) -> None:
    listener.status = status
    listener.answer = json.dumps({"code": 2007, "detail": "The reason."}).encode()
    with pytest.raises(FleetError) as caught:
        transport.call("GetRun", b"")
    assert type(caught.value) is error
    assert f"GetRun with HTTP {status}: The reason." in caught.value.message
    assert listener.address in caught.value.message


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'"text"', b"\xff"])
def test_a_refusal_that_is_not_flowers_comes_with_a_hint_that_it_may_be_no_superlink(
    transport: HttpTransport, listener: Listener, answer: bytes
) -> None:
    listener.status, listener.answer = 403, answer
    with pytest.raises(FleetError, match="GetRun with HTTP 403") as caught:
        transport.call("GetRun", b"")
    assert "1.40" in caught.value.hint


@pytest.mark.parametrize("answer", [b"", b"<html>"])
def test_a_gateways_own_refusal_is_unreachable(
    transport: HttpTransport, listener: Listener, answer: bytes
) -> None:
    listener.status, listener.answer = 502, answer
    with pytest.raises(Unreachable):
        transport.call("GetRun", b"")


def test_nobody_at_the_address_is_unreachable_with_a_hint() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but it does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Unreachable) as caught:
            HttpTransport(address).call("GetRun", b"")
    assert address in caught.value.message
    assert "1.40" in caught.value.hint


def test_an_address_that_is_none_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        HttpTransport("no port").call("GetRun", b"")


def test_a_connection_that_breaks_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unreachable):
            HttpTransport(f"127.0.0.1:{server.getsockname()[1]}").call("GetRun", b"")
        thread.join()


# Clocks


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (3600.0, r"(36|35)\d\d s behind"),
        (400.0, r"\d+ s behind"),
        (-3600.0, r"(36|35)\d\d s ahead of"),
    ],
)
def test_an_authentication_that_fails_because_of_the_clocks_says_so_and_by_how_much(
    transport: HttpTransport, listener: Listener, ahead: float, told: str
) -> None:
    listener.status, listener.clock_ahead = 401, ahead
    listener.answer = b'{"detail": "Invalid SuperNode authentication"}'
    with pytest.raises(ClocksDiffer, match=told) as caught:
        transport.call("PullMessages", b"")
    assert "NTP" in caught.value.hint


@pytest.mark.parametrize("ahead", [0.0, -5.0, 200.0])
def test_an_authentication_that_fails_though_the_clocks_agree_is_an_unknown_node(
    transport: HttpTransport, listener: Listener, ahead: float
) -> None:
    listener.status, listener.clock_ahead = 401, ahead
    listener.answer = b'{"detail": "Invalid SuperNode authentication"}'
    with pytest.raises(UnknownNode):
        transport.call("PullMessages", b"")


def test_an_answer_that_takes_long_is_no_sign_of_clocks_that_differ(
    transport: HttpTransport, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our clock says 60 s more when the answer is here than when the call was made."""
    listener.status, listener.answer = 401, b'{"detail": "Invalid SuperNode authentication"}'
    present, calls = time.time(), iter([0.0, 60.0])
    monkeypatch.setattr(listener, "clock_ahead", 1.0)
    monkeypatch.setattr(
        "proxy.transport.http.time", SimpleNamespace(time=lambda: present + next(calls))
    )
    with pytest.raises(UnknownNode):
        transport.call("PullMessages", b"")


def test_a_request_may_take_longer_than_each_of_its_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow line takes minutes for a large object."""
    monkeypatch.setattr("proxy.transport.http._TIMEOUT_SECONDS", (0.2, 10.0))
    body = bytes(12 << 20)

    def read_slowly(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            left = len(body)
            while left > 0 and (block := connection.recv(1 << 20, socket.MSG_WAITALL)):
                left -= len(block)
                threading.Event().wait(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        reader = threading.Thread(target=read_slowly, args=(listening,))
        reader.start()
        transport = HttpTransport(f"127.0.0.1:{listening.getsockname()[1]}")
        assert transport.call("PushObject", body) == b"ok"
        transport.close()
        reader.join()
