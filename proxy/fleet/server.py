"""Serving the Fleet API over HTTP to a SuperNode: the I/O around a sans-I/O core.

PullMessages is a long poll: the answer waits until there is a message, so that the SuperNode does
not sleep (3 s after every empty answer, flwr 1.41 `start_client_internal.py`). All else is
answered at once. Refusals are Flower's JSON errors (`flwr/supercore/error/`).
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from proxy.errors import BridgeError, FleetError, RunNotRunning
from proxy.fleet.releases import NEWEST

log = logging.getLogger(__name__)

# A SuperNode gives up on a call after 30 s (flwr 1.41, `supercore/protobuf/client.py`).
HOLD_SECONDS = 25.0
# One call carries at most one object, and protobuf ends at 2 GiB.
_MAX_CALL_BYTES = 2 << 30
_METHODS = {path: method for method, path in NEWEST.paths.items()}


class Core(Protocol):
    """Decides what to answer; see `proxy.client.ClientProxy.handle`."""

    def handle(self, method: str, request: bytes, now: float) -> bytes | None:
        """Return the answer; None when there is nothing to say yet."""
        ...


class FleetServer:
    """Serves a core on a free port of the loopback interface, in threads of its own.

    The core is only ever called by one thread at a time.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._changed = threading.Condition()
        self._closed = False
        self._http = _HttpServer(("127.0.0.1", 0), _Handler)
        self._http.fleet = self
        host, port = self._http.server_address[:2]
        self.address = f"{host!s}:{port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def change(self, step: Callable[[float], object]) -> None:
        """Change the core's state: calls `step(now)` while nobody else uses the core."""
        with self._changed:
            step(time.monotonic())
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        """Wait until the core's state is as wished, or `timeout` seconds have passed."""
        with self._changed:
            return self._changed.wait_for(until, timeout)

    def answer(self, method: str, request: bytes) -> bytes:
        """Return the core's answer, holding the call while there is none."""
        give_up = time.monotonic() + HOLD_SECONDS
        with self._changed:
            while True:
                answer = self._core.handle(method, request, time.monotonic())
                if answer is not None:
                    self._changed.notify_all()
                left = give_up - time.monotonic()
                if answer is not None or left <= 0 or self._closed:
                    return answer or b""
                self._changed.wait(left)

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self.change(lambda _: None)
        self._http.shutdown()
        self._http.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    fleet: FleetServer

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
        if not 0 <= length <= _MAX_CALL_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes in one call")
            return
        body = self.rfile.read(length)
        method = _METHODS.get(self.path)
        if method is None:
            self._refuse(HTTPStatus.NOT_FOUND, f"no Fleet method at {self.path}")
            return
        try:
            answer = self.server.fleet.answer(method, body)
        except RunNotRunning as error:
            self._refuse(HTTPStatus.FORBIDDEN, error.message)
        except FleetError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error.message)
        except BridgeError as error:
            log.error("%s failed: %s", method, error)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error.message)
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
