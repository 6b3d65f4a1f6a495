"""Client and server of the Fleet API joined: what is said at one end is heard at the other."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proxy.bundle import ANNOUNCEMENT_BYTES, APP_BYTES
from proxy.errors import (
    BridgeError,
    ClocksDiffer,
    FleetError,
    RunNotRunning,
    Unimplemented,
    Unreachable,
    UsageError,
)
from proxy.testing import FakeSuperLink, record_dict
from proxy.tests.helpers import PATHS, noise
from proxy.transport.connect import connect
from proxy.transport.grpc import GrpcTransport
from proxy.transport.http import HttpTransport
from proxy.transport.http_listener import method_of, path_of
from proxy.transport.server import FleetServer
from proxy.transport.superlink import SuperLink

TRANSPORTS: dict[str, type[GrpcTransport] | type[HttpTransport]] = {
    "grpc": GrpcTransport,
    "http": HttpTransport,
}


class Core:
    """A SuperLink in memory, or an error."""

    def __init__(self) -> None:
        self.superlink = FakeSuperLink()
        self.error: BridgeError | None = None

    def handle(self, method: str, request: bytes, now: float) -> bytes:
        if self.error is not None:
            raise self.error
        return self.superlink.call(method, request)


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture(params=TRANSPORTS)
def server(core: Core, request: pytest.FixtureRequest) -> Iterator[FleetServer]:
    server = FleetServer(core, request.param)
    yield server
    server.close()


@pytest.fixture
def node(server: FleetServer) -> Iterator[SuperLink]:
    node = connect(server.address)
    yield node
    node.close()


def test_a_superlink_behind_a_port_is_like_one_in_memory(core: Core, node: SuperLink) -> None:
    node.register()
    assert core.superlink.online == {node.node_id}
    assert node.get_run(core.superlink.run_id)
    with pytest.raises(RunNotRunning):
        node.get_run(5)
    node.unregister()
    assert core.superlink.online == set()


def test_who_is_not_let_in_is_told_why(
    core: Core, node: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is wrong, for example: not that nodes cannot be created."""

    def call(method: str, request: bytes) -> bytes:
        raise Unimplemented(f"{method} is not for you.")

    monkeypatch.setattr(core.superlink, "call", call)
    with pytest.raises(Unimplemented, match="RegisterNode is not for you"):
        node.register()
    assert node.node_id == 0


@pytest.mark.parametrize(
    ("method", "largest"),
    [
        ("GetRun", ANNOUNCEMENT_BYTES),
        ("SendNodeHeartbeat", ANNOUNCEMENT_BYTES),
        ("GetFab", APP_BYTES),
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_that_is_larger_than_such_answers_are_is_refused(
    core: Core, transport: str, method: str, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {method: bytes(largest + 1), "PullObject": bytes(largest + 1)}
    monkeypatch.setattr(core.superlink, "call", lambda method, _: answers[method])
    server = FleetServer(core, "grpc" if transport == "grpc" else "http")
    client = TRANSPORTS[transport](server.address)
    assert client.call("PullObject", b"") == answers["PullObject"]
    with pytest.raises(FleetError, match=rf"{largest + 1} vs\. {largest}|more than {largest:,}"):
        client.call(method, b"")
    client.close()
    server.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RunNotRunning("Run 5 is not running."), RunNotRunning),
        (Unimplemented("There is no such method."), Unimplemented),
        (FleetError("That makes no sense."), FleetError),
        (BridgeError("The disk is full."), FleetError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_arrives_as_what_it_was(
    core: Core, transport: str, error: BridgeError, kind: type[FleetError]
) -> None:
    core.error = error
    server = FleetServer(core, "grpc" if transport == "grpc" else "http")
    client = TRANSPORTS[transport](server.address)
    with pytest.raises(FleetError) as caught:
        client.call("GetRun", b"")
    assert type(caught.value) is kind
    assert error.message in caught.value.message
    client.close()
    server.close()


class Refusing(grpc.GenericRpcHandler):
    """Refuses each call as SuperLinks until 1.39 do whose clock is another."""

    def service(self, _: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid timestamp")

        return grpc.unary_unary_rpc_method_handler(refuse)


def test_a_timestamp_that_is_refused_over_grpc_means_that_the_clocks_differ() -> None:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Refusing()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = GrpcTransport(f"127.0.0.1:{port}")
    with pytest.raises(ClocksDiffer, match="Invalid timestamp") as caught:
        client.call("PullMessages", b"")
    assert "NTP" in caught.value.hint
    client.close()
    server.stop(None)


def test_large_objects_pass(core: Core, node: SuperLink) -> None:
    """By itself gRPC takes 4 MiB; one of Flower's chunks is up to 20 MiB."""
    node.register()
    content = noise(21 << 20)
    message_id = core.superlink.push_instruction(record_dict(weights=content), node.node_id)
    instruction = node.pull_messages()
    assert instruction is not None
    contents = [
        node.pull_object(core.superlink.run_id, each) or b"" for each in instruction.object_ids
    ]
    assert instruction.message_id == message_id
    assert any(each.endswith(content) for each in contents)


@pytest.mark.parametrize("transport", TRANSPORTS.values())
def test_nobody_there_is_unreachable(
    transport: type[GrpcTransport] | type[HttpTransport],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = transport(f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unreachable):
            client.call("GetRun", b"")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "localhost:9"])
def test_an_address_without_a_superlink_is_refused_at_once(address: str) -> None:
    with pytest.raises(Unreachable, match=address):
        connect(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nowhere",
        "127.0.0.1:port",
        ":9092",
        "localhost:99999",
        "::1:9092",
        "http://here:9092",
        "me@here:9092",
        "he re:9092",
    ],
)
def test_what_is_no_address_is_told_from_one_that_nobody_answers_at(address: str) -> None:
    with pytest.raises(UsageError, match="is no address of a SuperLink's Fleet API"):
        connect(address)


def test_an_ipv6_address_stands_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(address: object, _: float) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(Unreachable):
        connect("[2001:db8::1]:9092")
    assert asked == [("2001:db8::1", 9092)]


def test_who_says_nothing_is_not_taken_for_a_superlink_of_any_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.transport.connect._ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"{address} does not answer"):
            connect(address)


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "senseless"])
def test_root_certificates_that_cannot_be_used_are_said(
    server: FleetServer, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=str(file)):
        connect(server.address, file)


def test_a_superlink_without_tls_is_not_taken_for_one_with(
    server: FleetServer, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    authority = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    ).sign(key, hashes.SHA384())
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.public_bytes(Encoding.PEM))
    with pytest.raises(Unreachable, match=server.address):
        connect(server.address, file)


@pytest.mark.parametrize(("method", "path"), PATHS.items())
def test_paths_and_methods_name_each_other(method: str, path: str) -> None:
    assert (path_of(method), method_of(path)) == (path, method)
