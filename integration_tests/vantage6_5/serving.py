"""What both stand-ins are: a server of JSON over HTTP, in a thread of the tests' process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLError
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class JsonHandler(BaseHTTPRequestHandler):
    """Reads what is asked, and writes answers; `respond` says which."""

    protocol_version = "HTTP/1.1"

    def respond(self, path: str, query: dict[str, str], body: bytes) -> None:
        """Answer a request.

        Parameters
        ----------
        path : str
            Of the URL.
        query : dict[str, str]
            Of the URL; the first value of each name.
        body : bytes
            As it came.
        """
        raise NotImplementedError

    def answer(self, status: int, body: object = None, **headers: str) -> None:
        """Send an answer."""
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        """Serve one connection; that a client ends it is nothing to report."""
        with suppress(ConnectionError, SSLError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _respond(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        size = int(self.headers.get("Content-Length") or 0)
        self.respond(url.path.rstrip("/"), query, self.rfile.read(size))

    do_GET = do_POST = do_PUT = do_DELETE = _respond  # noqa: N815


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Have a server answer for a while."""
    server.daemon_threads = True
    with server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
