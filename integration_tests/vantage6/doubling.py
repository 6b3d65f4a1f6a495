"""A proxy that sends each task twice to the server behind it, as a node's proxy may do.

That one repeats a POST when its answer does not come (vantage6 4.15, `node/proxy_server.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import requests

# They are about one connection, or requests makes them.
_NOT_FORWARDED = {"host", "content-length", "connection", "transfer-encoding", "content-encoding"}
_TIMEOUT_SECONDS = 120.0


class Doubling(ThreadingHTTPServer):
    """The proxy; `tasks` has the two ids that each task got.

    Parameters
    ----------
    upstream : str
        Scheme, host and port of the server behind it.
    host : str
        The address where it listens, at a port of its own.
    """

    def __init__(self, upstream: str, host: str) -> None:
        super().__init__((host, 0), _Handler)
        self.upstream = upstream
        self.tasks: list[tuple[int, int]] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


@contextmanager
def doubling(upstream: str, host: str) -> Iterator[Doubling]:
    """Have such a proxy for a while."""
    with Doubling(upstream, host) as proxy:
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Doubling

    def do_GET(self) -> None:
        self._answer(self._forwarded(b""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        answer = self._forwarded(body)
        if self.path.endswith("/task") and answer.ok:
            first, answer = answer, self._forwarded(body)
            self.server.tasks.append((first.json()["id"], answer.json()["id"]))
        self._answer(answer)

    def _forwarded(self, body: bytes) -> requests.Response:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
        return requests.request(
            self.command,
            f"{self.server.upstream}{self.path}",
            data=body or None,
            headers=headers,
            timeout=_TIMEOUT_SECONDS,
        )

    def _answer(self, answer: requests.Response) -> None:
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
