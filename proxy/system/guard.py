"""Lets no other user of this machine reach what listens at its loopback interface.

    guard.py PROGRAM ARGUMENTS...   run one of Flower's programs, and guard what it listens at

Any local user can connect to any port at 127.0.0.1, and neither a SuperLink's Control API nor the
API that a SuperNode has for its ClientApps asks who calls. So each connection is checked as it is
accepted: the socket at its other end must belong to the user that this process runs as. Whoever may
act as that user, and root, could take the process over anyway.

As a script it is run by Flower's interpreter, which knows nothing of the bridge: it imports nothing
but the standard library and gRPC. Flower itself is not changed. HTTP (flwr 1.33 and
newer, by uvicorn) is checked where Python accepts connections. gRPC accepts them by itself, so
there each call is checked.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The bridge's modules are not for Flower.
    sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import os
import runpy
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

Address = tuple[str, int]
# What a socket that listens is connected to.
NOBODY = ("0.0.0.0", 0)  # noqa: S104

OF_ANOTHER_USER = "Only the user whose process this is may call it."
_LOOPBACK = "127.0.0.1"
# Source: linux/sock_diag.h, linux/inet_diag.h.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI")
_ENDS = struct.Struct("!HH16s16s")
_ANY_INTERFACE_AND_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_ALL_STATES = 0xFFFFFFFF
# How /proc/net/tcp6 begins an address of IPv4, as gRPC's sockets have them.
_IPV4_IN_IPV6 = f"{0:016X}{int.from_bytes(bytes((0, 0, 255, 255)), sys.byteorder):08X}"
# Where `struct inet_diag_msg` has the owner and the inode, behind the header.
_OWNER = struct.Struct("=II")
_OWNER_OFFSET = _HEADER.size + 64


def is_ours(end: Address, other_end: Address = NOBODY) -> bool:
    """Return whether a socket of this machine, in its loopback interface, is our user's.

    Parameters
    ----------
    end, other_end : tuple[str, int]
        Addresses (IPv4) and ports: of the socket, and of what it is connected to. Without a second
        one it is a socket that listens.
    """
    if sys.platform != "linux":
        return True
    uid, inode = _ask_kernel(end, other_end) or _search(end, other_end) or (0, 0)
    # A socket that its process closed has no inode any more, and seems to be root's.
    return inode != 0 and uid == os.geteuid()


def _ask_kernel(end: Address, other_end: Address) -> tuple[int, int] | None:
    """Return the uid and the inode of a socket, if the kernel finds it: within microseconds."""
    ends = _ENDS.pack(
        end[1], other_end[1], socket.inet_aton(end[0]), socket.inet_aton(other_end[0])
    )
    request = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES)
    body = request + ends + _ANY_INTERFACE_AND_COOKIE
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
            kernel.sendall(header + body)
            answer = kernel.recv(4096)
    except OSError:
        return None
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    uid, inode = _OWNER.unpack_from(answer, _OWNER_OFFSET)
    return uid, inode


def _search(end: Address, other_end: Address) -> tuple[int, int] | None:
    """Return the same from the list of all sockets: not every kernel can be asked for one."""
    local, remote = (
        f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
        for host, port in (end, other_end)
    )
    nowhere = f"{0:024X}"
    remote_prefix = nowhere if other_end == NOBODY else _IPV4_IN_IPV6
    tables = {"tcp": [local, remote], "tcp6": [_IPV4_IN_IPV6 + local, remote_prefix + remote]}
    for table, ends in tables.items():
        with suppress(OSError), Path("/proc/net", table).open() as lines:
            for fields in map(str.split, lines):
                if fields[1:3] == ends:
                    return int(fields[7]), int(fields[9])
    return None


def guard_sockets() -> None:
    """Have every socket of this process that listens drop what others connect."""
    accept = socket.socket.accept

    def guarded(self: socket.socket) -> tuple[socket.socket, Any]:
        connection, peer = accept(self)
        if self.family == socket.AF_UNIX or (
            self.family == socket.AF_INET and is_ours(peer, connection.getsockname())
        ):
            return connection, peer
        connection.close()
        # As of a connection that broke before it was accepted: servers go on.
        raise ConnectionAbortedError(f"{peer} belongs to another user")

    socket.socket.accept = guarded  # type: ignore[method-assign]
    # uvloop would accept connections by itself; without it, uvicorn takes asyncio.
    sys.modules["uvloop"] = None  # type: ignore[assignment]


def guard_grpc() -> None:
    """Have every gRPC server of this process refuse the calls of others."""
    import grpc  # noqa: PLC0415 - takes 0.1 s; a bridge without gRPC does not need it

    make_server = grpc.server

    def guarded(*arguments: Any, **options: Any) -> grpc.Server:
        guard = CallersCheck(grpc.StatusCode.PERMISSION_DENIED)
        options["interceptors"] = (guard, *(options.get("interceptors") or ()))
        server = make_server(*arguments, **options)
        for method in ("add_insecure_port", "add_secure_port"):
            setattr(server, method, guard.noting_port(getattr(server, method)))
        return server

    grpc.server = guarded


class CallersCheck:
    """An interceptor of a gRPC server: lets only our user call what the server has at its port.

    Parameters
    ----------
    refusal : grpc.StatusCode
        What others are answered.

    Attributes
    ----------
    port : int
        The server's port.
    """

    def __init__(self, refusal: grpc.StatusCode) -> None:
        self._refusal = refusal
        self.port = 0

    def noting_port(self, add_port: Callable[..., int]) -> Callable[..., int]:
        """Return what adds a port to the server, and notes it."""

        def add(*arguments: Any) -> int:
            self.port = add_port(*arguments)
            return self.port

        return add

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return what serves a call."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
        served = {kind: serve for kind in kinds if (serve := getattr(handler, kind))}
        return handler._replace(**{kind: self._checked(serve) for kind, serve in served.items()})

    def _checked(self, serve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def checked(request: Any, context: Any) -> Any:
            if not calls_for_us(context.peer(), self.port):
                context.abort(self._refusal, OF_ANOTHER_USER)
            return serve(request, context)

        return checked


def calls_for_us(peer: str, port: int) -> bool:
    """Return whether a gRPC call to a port of the loopback interface is our user's.

    Parameters
    ----------
    peer : str
        The caller, as gRPC writes it: "ipv4:127.0.0.1:PORT".
    port : int
        The port that was called.
    """
    kind, _, address = peer.partition(":")
    host, _, number = address.rpartition(":")
    return kind == "ipv4" and is_ours((host, int(number)), (_LOOPBACK, port))


if __name__ == "__main__":
    guard_sockets()
    guard_grpc()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
