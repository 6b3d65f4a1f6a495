"""A server that answers what no vantage6 server does: an error in words, and no memory taken."""

import gzip
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from proxy.errors import Vantage6Error
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import Organization
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4

PLENTY = [{"id": number, "name": str(number)} for number in range(250)]


class Strange(HTTPServer):
    """Answers everything with the same."""

    answer = b""
    status = 200
    encoding = ""

    def asks(self) -> Server4:
        """Return the API of it."""
        return Server4(self.url, ContainerLogin("token"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Strange

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        if self.server.encoding:
            self.send_header("Content-Encoding", self.server.encoding)
        self.end_headers()
        self.wfile.write(self.server.answer)

    do_POST = do_GET  # noqa: N815 - so does http.server name it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def strange() -> Iterator[Strange]:
    server = Strange(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


QUESTIONS: dict[str, Callable[[Server4, Path], object]] = {
    "organizations": lambda server, _: server.organizations(1),
    "own organization": lambda server, _: server.own_organization(),
    "nodes": lambda server, _: server.nodes(1),
    "run of a task": lambda server, _: server.run_of(1),
    "run": lambda server, _: server.run(1),
    "task's status": lambda server, _: server.task_status(1),
    "new task": lambda server, folder: server.create_task(
        {}, "courier", Organization(1, "Alpha", ""), folder / "payload"
    ),
    "result": lambda server, folder: server.save_result(1, folder / "result"),
}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize(
    "answer",
    [
        *(b"null", b"7", b"[]", b"[[]]", b'{"data": null}', b'{"data": [7]}', b'{"data": [{}]}'),
        *(b'{"data": {}}', b'{"id": "x", "status": 5, "node": 7, "log": []}', b"[" * 100_000),
    ],
)
def test_an_answer_that_lacks_what_is_asked_for_is_an_error_in_words(
    strange: Strange, tmp_path: Path, ask: Callable[[Server4, Path], object], answer: bytes
) -> None:
    strange.answer = answer
    (tmp_path / "payload").write_text("{}")
    with suppress(Vantage6Error):  # any other exception is a failure
        ask(strange.asks(), tmp_path)


def test_an_answer_that_is_compressed_is_refused_before_it_expands(
    strange: Strange, tmp_path: Path
) -> None:
    strange.encoding, strange.answer = "gzip", gzip.compress(bytes(64 << 20), 9)
    server = strange.asks()
    for ask in (QUESTIONS["run"], QUESTIONS["result"]):
        tracemalloc.start()
        with pytest.raises(Vantage6Error, match="compressed data"):
            ask(server, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


def test_an_answer_of_many_megabytes_is_refused(strange: Strange) -> None:
    strange.answer = json.dumps("x" * (65 << 20)).encode()
    with pytest.raises(Vantage6Error, match="more than 67,108,864 bytes"):
        strange.asks().run(1)


def test_an_answer_of_millions_of_values_is_refused(strange: Strange) -> None:
    strange.answer = b'{"data": [' + b"[]," * 2_000_000 + b"[]]}"
    with pytest.raises(Vantage6Error, match="did not answer with JSON"):
        strange.asks().organizations(1)


@pytest.mark.parametrize("items", [PLENTY, PLENTY * 4], ids=["for ever", "more than asked for"])
def test_a_list_that_does_not_end_is_not_read_for_ever(
    strange: Strange, items: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.vantage6.server._MOST_PAGES", 10)
    strange.answer = json.dumps({"data": items}).encode()
    with pytest.raises(Vantage6Error, match="lists more than"):
        strange.asks().organizations(1)


def test_a_refusal_that_is_nested_without_end_is_one(strange: Strange) -> None:
    strange.status, strange.answer = 400, b"[" * 60_000
    with pytest.raises(Vantage6Error, match="status 400: Bad Request"):
        strange.asks().run(1)


@pytest.mark.parametrize("answer", [b"[" * 100_000, b'{"access_token": "a"}', b" " * (2 << 20)])
def test_an_answer_to_a_login_that_is_none_is_an_error_in_words(
    strange: Strange, answer: bytes
) -> None:
    strange.answer = answer
    with pytest.raises(Vantage6Error):
        UserLogin(strange.url, "ada", "password")
