"""Only our user's connections count, whoever else is on the machine."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import requests

from proxy.client import ClientProxy
from proxy.system import guard
from proxy.tests.helpers import NOBODYS_UID, as_another_user, needs_root
from proxy.transport.http_listener import path_of
from proxy.transport.server import FleetServer

Look = Callable[[guard.Address, guard.Address], tuple[int, int] | None]
LOOKS = (guard._ask_kernel, guard._search)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def as_nobody(act: Callable[[], object]) -> str:
    """Return what a function returns, or raises, in a process of another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(NOBODYS_UID)
            os.setuid(NOBODYS_UID)
            result = str(act())
        except BaseException as error:
            result = type(error).__name__
        os.write(writing, result.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        result = answer.read()
    os.waitpid(child, 0)
    return result


# Whose is a socket?


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_owner_of_a_connections_end_is_known(
    look: Look, family: socket.AddressFamily, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
    with socket.socket(family) as client:
        client.connect((host, port))
        connection, peer = listener.accept()
        with connection:
            end = ("127.0.0.1", client.getsockname()[1])
            owner = look(end, ("127.0.0.1", port))
            assert owner == (os.geteuid(), os.fstat(client.fileno()).st_ino)
            assert guard.is_ours(peer, connection.getsockname())


@pytest.mark.parametrize("look", LOOKS)
def test_the_owner_of_a_socket_that_listens_is_known(look: Look, listener: socket.socket) -> None:
    owner = look(listener.getsockname(), guard.NOBODY)
    assert owner == (os.geteuid(), os.fstat(listener.fileno()).st_ino)


def test_the_owner_of_a_grpc_server_is_known() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for look in LOOKS:
        owner = look(("127.0.0.1", port), guard.NOBODY)
        assert owner is not None
        assert owner[0] == os.geteuid()
    server.stop(None)


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_owns_what_is_not_there(look: Look) -> None:
    assert look(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


def test_a_connection_whose_other_end_was_closed_is_nobodys(listener: socket.socket) -> None:
    # Its uid is 0 from then on: root would take it for its own.
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"POST")
    connection, peer = listener.accept()
    with connection:
        assert not guard.is_ours(peer, connection.getsockname())


@needs_root
def test_another_users_socket_is_not_ours(listener: socket.socket) -> None:
    asked = threading.Event()

    def judge() -> None:
        connection, peer = listener.accept()
        with connection:
            ends = peer, connection.getsockname()
            owners.extend(look(*ends) for look in LOOKS)
            verdicts.append(guard.is_ours(*ends))
            asked.set()

    owners: list[tuple[int, int] | None] = []
    verdicts: list[bool] = []
    judging = threading.Thread(target=judge)
    judging.start()

    def connect() -> object:
        with socket.create_connection(listener.getsockname()) as client:
            return client.recv(1)

    assert as_nobody(connect) == "b''"
    judging.join()
    assert [owner[0] for owner in owners if owner] == [NOBODYS_UID, NOBODYS_UID]
    assert verdicts == [False]


# What our own servers make of it.


@needs_root
def test_another_user_gets_nothing_from_a_client_proxy_over_http() -> None:
    server = FleetServer(ClientProxy(node_id=7), "http")
    url = f"http://{server.address}{path_of('ActivateNode')}"
    with requests.Session() as session:
        session.trust_env = False
        assert session.post(url, data=b"", timeout=30).status_code
    assert as_nobody(lambda: requests.post(url, data=b"", timeout=30)) == "ConnectionError"
    server.close()


@needs_root
def test_another_user_gets_nothing_from_a_client_proxy_over_grpc() -> None:
    server = FleetServer(ClientProxy(node_id=7), "grpc")
    program = f"""
import grpc
channel = grpc.insecure_channel("{server.address}", [("grpc.enable_http_proxy", 0)])
try:
    channel.unary_unary("/flwr.proto.Fleet/ActivateNode")(b"", timeout=30)
except grpc.RpcError as error:
    print(error.code().name)
"""
    call = (sys.executable, "-c", program)
    theirs = subprocess.run(as_another_user(*call), capture_output=True, text=True, check=True)
    ours = subprocess.run(call, capture_output=True, text=True, check=True)
    server.close()
    assert theirs.stdout.strip() == "PERMISSION_DENIED"
    assert ours.stdout.strip() != "PERMISSION_DENIED"
