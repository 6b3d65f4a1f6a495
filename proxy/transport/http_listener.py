"""The Fleet API over HTTP, as a SuperLink serves it; see `proxy.transport.http`. No `requests`."""

import json
import logging
import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from proxy.errors import (
    BridgeError,
    FleetError,
    RunNotRunning,
    Unimplemented,
)
from proxy.fleet.inline import MAX_MESSAGE_BYTES
from proxy.system.guard import is_ours

log = logging.getLogger(__name__)

Answer = Callable[[str, bytes], bytes]

PREFIX = "/v1/fleet/"


def path_of(method: str) -> str:
    """Return where a Fleet method is served: PullMessages at /v1/fleet/pull-messages."""
    return PREFIX + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", method).lower()


def method_of(path: str) -> str:
    """Return which Fleet method is served at a path."""
    return path.removeprefix(PREFIX).replace("-", " ").title().replace(" ", "")


class HttpListener:
    """Listens on a free port of the loopback interface, in threads of its own, for our user only.

    Parameters
    ----------
    answer : Callable[[str, bytes], bytes]
        Answers a call: the method and the request.
    """

    def __init__(self, answer: Answer) -> None:
        self._http = _HttpServer(("127.0.0.1", 0), _Handler)
        self._http.answer = answer
        host, port = self._http.server_address[:2]
        self.address = f"{host!s}:{port}"
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        ).start()

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # the default, 5, delays those who come at once by a second
    answer: Answer

    def verify_request(self, _: object, client_address: Any) -> bool:
        """Drop a connection of another user of this machine."""
        host, port = self.server_address[:2]
        return is_ours(client_address, (str(host), port))

    def handle_error(self, *_: object) -> None:
        """A SuperNode that was killed breaks its connections; that is no news here."""
        log.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    server: _HttpServer

    def do_POST(self) -> None:
        """Answer a Fleet call."""
        try:
            length = int(self.headers.get("content-length", ""))
        except ValueError:
            self.close_connection = True
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a Fleet call needs a content-length")
            return
        if not 0 <= length <= MAX_MESSAGE_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes in one call")
            return
        body = self.rfile.read(length)
        try:
            answer = self.server.answer(method_of(self.path), body)
        except RunNotRunning as error:
            self._refuse(HTTPStatus.FORBIDDEN, error.message)
        except Unimplemented as error:
            self._refuse(HTTPStatus.NOT_FOUND, error.message)
        except FleetError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error.message)
        except BridgeError as error:
            log.error("%s failed: %s", self.path, error)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error.message)
        except Exception:
            # Without an answer the SuperNode would call again and again.
            log.exception("%s failed: internal error; please report it", self.path)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        else:
            self._send(HTTPStatus.OK, "application/protobuf", answer)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        body = json.dumps({"code": int(status), "detail": detail}).encode()
        self._send(status, "application/json", body)

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep the standard library from writing a line per call to stderr."""
