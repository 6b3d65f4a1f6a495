"""Forwards the Fleet API over HTTP, and notes each call; see `proxy.tapes.record`."""

import http.client
import logging
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from protos import tape_pb2
from proxy.system.guard import is_ours
from proxy.tapes.tape import Add
from proxy.transport.http_listener import method_of, path_of

log = logging.getLogger(__name__)

# A SuperNode gives up on a call before.
TIMEOUT_SECONDS = 120.0
# Headers between two neighbours only (RFC 9110, 7.6.1), or made anew.
_NOT_HANDED_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class HttpForwarder:
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
        connection = http.client.HTTPConnection(self.server.superlink, timeout=TIMEOUT_SECONDS)
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
