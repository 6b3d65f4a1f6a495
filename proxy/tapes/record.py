"""Recording: stands between real SuperNodes and a real SuperLink and writes a tape.

    SuperNode <- Fleet API -> Recorder <- Fleet API -> SuperLink
                                 |
                                 v
                               tape

Every call is handed on as it came, with its headers, which sign it; and so is what came of it.
Connections with TLS are not supported.
"""

import http.client
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc

from protos import tape_pb2
from proxy.errors import TapeError, UsageError, reason_of
from proxy.system.guard import OF_ANOTHER_USER, calls_for_us, is_ours
from proxy.tapes.tape import TapeWriter
from proxy.transport.connect import speaks_http
from proxy.transport.http_listener import method_of, path_of

log = logging.getLogger(__name__)

Add = Callable[[tape_pb2.Call], None]

# A SuperNode gives up on a call before.
_TIMEOUT_SECONDS = 120.0
# Calls at once: of many SuperNodes, each with some objects on their way.
_WORKERS = 64
_SERVICE = "/flwr.proto.Fleet/"
_GRPC_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.so_reuseport", 0),
)
# Headers between two neighbours only (RFC 9110, 7.6.1), or made anew.
_NOT_HANDED_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Recorder:
    """Hands on the calls of any number of SuperNodes to one SuperLink, until closed.

    Parameters
    ----------
    superlink : str
        The address (HOST:PORT) of the SuperLink's Fleet API.
    listen : str
        The address (HOST:PORT) that SuperNodes are given instead; port 0 for a free one.
    tape : Path
        Where to write the tape.
    about : str
        What is recorded, in words.
    for_us_only : bool
        Whether other users of this machine are refused; it must listen at 127.0.0.1 then.

    Attributes
    ----------
    address : str
        Where it listens.

    Raises
    ------
    Unreachable
        If no SuperLink answers: how its Fleet API is reached must be found out first.
    UsageError
        If it cannot listen there.
    TapeError
        If the tape cannot be written.
    """

    def __init__(
        self, superlink: str, listen: str, tape: Path, about: str, for_us_only: bool = False
    ) -> None:
        http = speaks_http(superlink)
        self._tape = TapeWriter(tape, "http" if http else "grpc", about)
        kind = _HttpForwarder if http else _GrpcForwarder
        try:
            self._forwarder: _HttpForwarder | _GrpcForwarder = kind(
                superlink, listen, self._add, for_us_only
            )
        except (OSError, ValueError, OverflowError, RuntimeError) as error:
            self._tape.close()
            raise UsageError(
                f"The recorder cannot listen at {listen}: {reason_of(error)}.",
                "Name a free address of this machine as HOST:PORT.",
            ) from error
        self.address = self._forwarder.address

    def _add(self, call: tape_pb2.Call) -> None:
        try:
            self._tape.add(call)
        except TapeError as error:
            log.error("a call is missing on the tape: %s", error)

    def close(self) -> None:
        """Stop listening, and complete the tape."""
        self._forwarder.close()
        self._tape.close()


class _GrpcForwarder(grpc.GenericRpcHandler):
    """Forwards gRPC calls."""

    def __init__(self, superlink: str, listen: str, add: Add, for_us_only: bool) -> None:
        self._add = add
        self._for_us_only = for_us_only
        self._channel = grpc.insecure_channel(superlink, options=_GRPC_OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(_WORKERS), options=_GRPC_OPTIONS)
        self._server.add_generic_rpc_handlers((self,))
        host, _, _ = listen.rpartition(":")
        self._port = self._server.add_insecure_port(listen)
        self.address = f"{host}:{self._port}"
        self._server.start()

    def service(self, call: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Return what serves a method; all methods of the Fleet API take and give one message."""
        name = call.method

        def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
            if self._for_us_only and not calls_for_us(context.peer(), self._port):
                context.abort(grpc.StatusCode.PERMISSION_DENIED, OF_ANOTHER_USER)
            recorded = tape_pb2.Call(method=name.removeprefix(_SERVICE), request=request)
            handed_on = tuple(
                (key, value)
                for key, value in context.invocation_metadata()
                if key != "user-agent"  # gRPC makes it anew
            )
            invoke: Any = self._channel.unary_unary(name)
            try:
                answer, details = invoke.with_call(request, _TIMEOUT_SECONDS, handed_on)
            except grpc.RpcError as error:
                recorded.refusal.status = error.code().name
                recorded.refusal.detail = error.details() or ""
                self._note(recorded)
                context.set_trailing_metadata(_pairs(error.trailing_metadata()))
                context.abort(error.code(), error.details() or "")
            recorded.answer = answer
            self._note(recorded)
            context.send_initial_metadata(_pairs(details.initial_metadata()))
            context.set_trailing_metadata(_pairs(details.trailing_metadata()))
            return bytes(answer)

        return grpc.unary_unary_rpc_method_handler(serve)

    def _note(self, call: tape_pb2.Call) -> None:
        call.at = time.time()
        self._add(call)

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(grace=None).wait()
        self._channel.close()


def _pairs(metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in metadata or ())


class _HttpForwarder:
    """Forwards HTTP requests."""

    def __init__(self, superlink: str, listen: str, add: Add, for_us_only: bool) -> None:
        host, _, port = listen.rpartition(":")
        self._server = _HttpServer((host, int(port)), _Handler)
        self._server.superlink = superlink
        self._server.add = add
        self._server.for_us_only = for_us_only
        self.address = f"{host}:{self._server.server_address[1]}"
        Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        ).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    superlink: str
    add: Add
    for_us_only: bool

    def verify_request(self, _: object, client_address: Any) -> bool:
        """Drop a connection of another user of this machine, if it is to be."""
        host, port = self.server_address[:2]
        return not self.for_us_only or is_ours(client_address, (str(host), port))

    def handle_error(self, *_: object) -> None:
        """A SuperNode that was killed breaks its connections; that is no news here."""
        log.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _HttpServer

    def do_POST(self) -> None:
        """Forward a request."""
        request = self.rfile.read(int(self.headers.get("content-length", "0")))
        handed_on = {
            key: value for key, value in self.headers.items() if key.lower() not in _NOT_HANDED_ON
        }
        connection = http.client.HTTPConnection(self.server.superlink, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(self.command, self.path, request, handed_on)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            log.warning("the SuperLink does not answer: %s", error)
            self.send_error(HTTPStatus.BAD_GATEWAY, "the SuperLink does not answer")
            return
        finally:
            connection.close()
        self._note(request, response.status, body)
        self.send_response_only(response.status, response.reason)
        for key, value in response.getheaders():
            if key.lower() not in _NOT_HANDED_ON:
                self.send_header(key, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - so does http.server name it

    def _note(self, request: bytes, status: int, body: bytes) -> None:
        method = method_of(self.path)
        if path_of(method) != self.path:
            return  # no call of the Fleet API
        call = tape_pb2.Call(method=method, at=time.time(), request=request)
        if status == HTTPStatus.OK:
            call.answer = body
        else:
            call.refusal.status = f"HTTP {status}"
            call.refusal.detail = body.decode(errors="replace")
        self.server.add(call)

    def log_message(self, *args: object) -> None:
        """Keep the standard library from writing a line per call to stderr."""
