"""The recorder: both ends hear each other as without it, and a tape tells what they said."""

import lzma
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import grpc
import pytest
import requests

from proxy.client import ClientProxy
from proxy.errors import RunNotRunning, Unreachable, UsageError
from proxy.tapes.record import Recorder
from proxy.tapes.replay import replay
from proxy.tapes.tape import read_tape
from proxy.testing import FakeSuperLink, FakeSuperNode, record_dict
from proxy.tests.helpers import noise
from proxy.transport.connect import connect
from proxy.transport.grpc import GrpcTransport
from proxy.transport.http import HttpTransport
from proxy.transport.node_key import NodeKey
from proxy.transport.server import FleetServer
from proxy.transport.superlink import SuperLink


class Core:
    """Serves a SuperLink in memory."""

    def __init__(self) -> None:
        self.superlink = FakeSuperLink()

    def handle(self, method: str, request: bytes, now: float) -> bytes:
        return self.superlink.call(method, request)


@dataclass
class Recorded:
    """A SuperLink on a port, and a recorder before it."""

    kind: str
    superlink: FakeSuperLink
    server: FleetServer
    recorder: Recorder
    path: Path

    @property
    def node(self) -> SuperLink:
        """One more connection, through the recorder."""
        return connect(self.recorder.address)


@pytest.fixture(params=["grpc", "http"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorded]:
    core = Core()
    server = FleetServer(core, request.param)
    path = tmp_path / "some.tape"
    recorder = Recorder(server.address, "127.0.0.1:0", path, "a test")
    yield Recorded(request.param, core.superlink, server, recorder, path)
    recorder.close()
    server.close()


def test_a_supernode_does_not_notice_the_recorder(recorded: Recorded) -> None:
    node, superlink = recorded.node, recorded.superlink
    node.register()
    assert superlink.online == {node.node_id}
    with pytest.raises(RunNotRunning, match="Run 5 is not running"):
        node.get_run(5)
    node.unregister()
    assert superlink.online == set()


def test_what_was_said_is_on_the_tape(recorded: Recorded) -> None:
    node = recorded.node
    node.register()
    with pytest.raises(RunNotRunning):
        node.get_run(5)
    recorded.recorder.close()
    tape = read_tape(recorded.path)
    joining = ["RegisterNode", "ActivateNode", "SendNodeHeartbeat"]
    assert [call.method for call in tape.calls] == [*joining, "GetRun"]
    assert [call.request for call in tape.calls] == [
        request for _, request in recorded.superlink.calls
    ]
    assert [call.answer is None for call in tape.calls] == [False, False, False, True]
    assert "Run 5 is not running" in tape.calls[-1].refusal


def test_a_recorded_conversation_is_replayed(recorded: Recorded) -> None:
    kind = HttpTransport if recorded.kind == "http" else GrpcTransport
    transport = kind(recorded.recorder.address)
    supernode = FakeSuperNode(
        lambda method, request, _: transport.call(method, request), lambda content: content
    )
    supernode.start()
    recorded.superlink.push_instruction(record_dict(weights=noise(100)), supernode.node_id)
    assert supernode.work()
    transport.close()
    recorded.recorder.close()
    assert replay(read_tape(recorded.path)).messages == 1


class HttpEcho(BaseHTTPRequestHandler):
    """Answers with what it was sent as headers."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        said = " ".join(self.headers.values()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: object) -> None:
        pass


class GrpcEcho(grpc.GenericRpcHandler):
    """Answers with what it was sent as metadata."""

    def service(
        self, call: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        said = (
            each if isinstance(each, bytes) else each.encode()
            for _, each in call.invocation_metadata or ()
        )
        answer = b" ".join(said)
        return grpc.unary_unary_rpc_method_handler(lambda *_: answer)


@pytest.fixture
def http_echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), HttpEcho)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def grpc_echo() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((GrpcEcho(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("echo", "transport"), [("http_echo", HttpTransport), ("grpc_echo", GrpcTransport)]
)
def test_what_signs_a_call_is_handed_on_and_not_recorded(
    echo: str,
    transport: type[GrpcTransport] | type[HttpTransport],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = NodeKey.new()
    signed = key.sign_now()
    monkeypatch.setattr(NodeKey, "sign_now", lambda _: signed)
    recorder = Recorder(request.getfixturevalue(echo), "127.0.0.1:0", tmp_path / "tape", "")
    node = transport(recorder.address)
    heard = node.call("PullMessages", b"")
    node.close()
    recorder.close()
    parts = (signed.public_key, signed.signature)
    assert signed.timestamp.encode() in heard
    assert all(part in heard or b64encode(part) in heard for part in parts)


def test_no_header_is_on_a_tape(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = NodeKey.new().sign_now()
    monkeypatch.setattr(NodeKey, "sign_now", lambda _: signed)
    recorded.node.register()
    recorded.recorder.close()
    text = lzma.decompress(recorded.path.read_bytes())
    for secret in (signed.signature, b64encode(signed.signature), signed.timestamp.encode()):
        assert secret not in text


def test_what_is_no_fleet_call_is_handed_on_and_not_recorded(tmp_path: Path) -> None:
    server = FleetServer(ClientProxy(7), "http")
    recorder = Recorder(server.address, "127.0.0.1:0", tmp_path / "tape", "")
    answered = [
        requests.post(f"http://{address}/v1/other", timeout=60)
        for address in (server.address, recorder.address)
    ]
    recorder.close()
    server.close()
    assert answered[0].status_code == answered[1].status_code
    assert answered[0].content == answered[1].content
    assert read_tape(tmp_path / "tape").calls == ()


def test_a_recorder_needs_a_superlink(tmp_path: Path) -> None:
    """How its Fleet API is reached is found out from it."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Unreachable, match="No SuperLink answers"):
            Recorder(address, "127.0.0.1:0", tmp_path / "tape", "")


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_an_address_that_is_taken_is_told(
    transport: Literal["grpc", "http"], tmp_path: Path
) -> None:
    server = FleetServer(Core(), transport)
    with pytest.raises(UsageError, match=f"cannot listen at {server.address}"):
        Recorder(server.address, server.address, tmp_path / "tape", "")
    server.close()


def test_a_superlink_that_goes_away_is_missed_as_without_a_recorder(recorded: Recorded) -> None:
    node = recorded.node
    node.register()
    recorded.server.close()
    with pytest.raises(Unreachable):
        node.heartbeat()
