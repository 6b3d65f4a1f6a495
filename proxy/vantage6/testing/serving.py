"""A vantage6 server with its nodes, in this process: the API over HTTP, the rest in memory."""

import json
import threading
from abc import ABC, abstractmethod
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, Protocol, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from proxy.vantage6.testing.model import Asked, Collaboration, FakeTask, Function, Model

Json = dict[str, Any]
Answer = tuple[int, Json]

_HTML = b"<!doctype html>\n<title>404 Not Found</title>\n"
_PROXY_ERROR: Answer = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    {"msg": "Request failed, see node logs"},
)


@dataclass(frozen=True)
class Request:
    """A request; `container` is what a container's token says, None for a user's."""

    method: str
    path: str
    query: Mapping[str, str]
    token: str
    container: Json | None
    body: Any


class Answering(Protocol):
    """A server's API."""

    tokens: dict[str, str]
    url: str

    def answer(self, request: Request) -> Answer:
        """Answer a request; the status is 404 if there is nothing like it."""
        ...


class Failure(Enum):
    """What may go wrong with a request."""

    ERROR = "answered with status 500, and nothing was done"
    LOST = "not answered, and nothing was done"
    ANSWER_LOST = "done, but not answered"
    TWICE = "done twice and answered once, as when a node's proxy tries again"


Api = TypeVar("Api", bound=Answering)


class Fake(ABC, Generic[Api]):
    """The server; it has a user "ada" of the first organization. To be closed, or use `with`.

    Parameters
    ----------
    api : Callable[[Model], Api]
        Makes the API.
    path : str
        The API's path.
    function : Function
        Does what a task's container would; runs in a thread of its own when a node starts a task.
    organizations : tuple[str, ...]
        Their names; their ids count from 1. All are in the collaboration 1, "Study", with a node
        that is online.
    encrypted : bool
        Whether that collaboration is encrypted; the organizations' keys are those of
        `private_key`.

    Attributes
    ----------
    url : str
        The API's address.
    proxy_url : str
        The address that containers are given: their node's proxy.
    api : Api
        The API.
    requests : list[str]
        Every request: the method and the path, as in "POST task".
    """

    def __init__(
        self,
        api: Callable[[Model], Api],
        path: str,
        function: Function,
        organizations: tuple[str, ...],
        encrypted: bool,
    ) -> None:
        self._model = Model(function, dict(enumerate(organizations, 1)))
        self.path = path
        self.api = api(self._model)
        self.requests: list[str] = []
        self._failures: list[tuple[str, Failure]] = []
        self._away = False
        self.add_collaboration("Study", list(self._model.organizations), encrypted)
        self._http = _Listener(self)
        self.proxy_url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.url = self.api.url = f"{self.proxy_url}/{path}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=[0.01])
        self._thread.start()

    @property
    def tasks(self) -> dict[int, FakeTask]:
        """All tasks by id."""
        return self._model.tasks

    @property
    def unreachable(self) -> list[FakeTask]:
        """The deleted tasks whose inputs and results are still in the database."""
        return self._model.unreachable

    @property
    def collaborations(self) -> dict[int, Collaboration]:
        """All collaborations by id."""
        return self._model.collaborations

    @property
    def studies(self) -> dict[int, list[int]]:
        """The ids of each study's organizations, by the study's id."""
        return self._model.studies

    def add_collaboration(self, name: str, organizations: list[int], encrypted: bool) -> int:
        """Add a collaboration whose nodes are online; returns its id."""
        number = len(self.collaborations) + 1
        nodes = dict.fromkeys(organizations, True)
        self.collaborations[number] = Collaboration(name, organizations, encrypted, nodes)
        return number

    def create_task(self, asked: Asked, parent: FakeTask | None = None) -> FakeTask:
        """Create a task as if somebody had asked for it."""
        return self._model.create(asked, parent)

    def delete(self, task: FakeTask) -> None:
        """Delete a task as somebody does in the web interface."""
        self._model.delete(task)

    def start_central(self, image: str = "an/image") -> FakeTask:
        """Create a task at the first organization whose container is the test itself."""
        task = self._model.add(Asked(f"Flower: {image}", image, 1, 1, {"method": "central"}))
        task.status = "active"
        return task

    def set_node(self, organization: int, online: bool, collaboration: int = 1) -> None:
        """Have a node go away, or come back and start what is pending."""
        self._model.set_node(collaboration, organization, online)

    def fail_next(self, failure: Failure, request: str, times: int = 1) -> None:
        """Have the next requests of a kind fail: "POST task", or "GET task/7/status"."""
        self._failures += [(request, failure)] * times

    @contextmanager
    def away(self) -> Iterator[None]:
        """Answer nobody for as long as the body runs."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def expire_tokens(self, *kinds: str) -> None:
        """Take no "access" token any more, or no "refresh" token, that was given to a user."""
        for token, kind in self.api.tokens.items():
            if kind in kinds:
                self.api.tokens[token] = "expired"

    def container_token(self, task: FakeTask) -> str:
        """Return the token of a task's container."""
        claims = {
            "image": task.asked.image,
            "node_id": task.asked.organization,
            "organization_id": task.asked.organization,
            "collaboration_id": task.asked.collaboration,
            "task_id": task.id,
            "study_id": None,
            "store_id": None,
            **self.claims(task),
        }
        body = urlsafe_b64encode(json.dumps({"sub": claims}).encode()).decode().rstrip("=")
        return f"container.{body}.{task.id}"

    @abstractmethod
    def claims(self, task: FakeTask) -> Json:
        """Return what else a container's token says."""

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None to close the connection."""
        what = f"{request.method} {request.path}"
        with self._model.lock:
            self.requests.append(what)
            failure = next((how for each, how in self._failures if each == what), None)
            if failure is not None:
                self._failures.remove((what, failure))
            if self._away or failure is Failure.LOST:
                return None
            if failure is Failure.ERROR:
                return _PROXY_ERROR
            if failure is Failure.TWICE:
                self.api.answer(request)
            answer = self.api.answer(request)
        if failure is Failure.ANSWER_LOST:
            return None
        refused_by_proxy = request.container is not None and answer[0] >= HTTPStatus.BAD_REQUEST
        return _PROXY_ERROR if refused_by_proxy else answer

    def close(self) -> None:
        """End it; functions that wait for their task to be killed go on."""
        for task in list(self.tasks.values()):
            task.killed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Listener(ThreadingHTTPServer):
    def __init__(self, fake: Fake[Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that are gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        self._answer(None)

    def do_DELETE(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"])) or "{}"))

    def _answer(self, body: Any) -> None:
        where = urlsplit(self.path)
        path = where.path.strip("/")
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        container = _claims(token)
        # A node's proxy needs no path before the API's own; the server does.
        prefix = f"{self.server.fake.path}/"
        if container is None and not path.startswith(prefix):
            self._send(HTTPStatus.NOT_FOUND, "text/html", _HTML)
            return
        query = dict(parse_qsl(where.query))
        request = Request(self.command, path.removeprefix(prefix), query, token, container, body)
        answer = self.server.fake.answer(request)
        if answer is not None:
            self._send(answer[0], "application/json", json.dumps(answer[1]).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _claims(token: str) -> Json | None:
    """Return what a container's token says; None if it is another's."""
    if not token.startswith("container."):
        return None
    claims: Json = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))["sub"]
    return claims
