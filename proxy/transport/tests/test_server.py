"""The Fleet API on a port: what a SuperNode meets in place of its SuperLink."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.errors import BundleError, FleetError, RunNotRunning, Unimplemented, UnknownNode
from proxy.tests.helpers import PATHS, wait_until
from proxy.transport import server
from proxy.transport.server import FleetServer

SECONDS = 60.0


class Core:
    """Answers as the test says, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.answer: Callable[[str, bytes], bytes | None] = lambda method, _: method.encode()
        self.held = threading.Event()  # set when it had no answer
        self._busy = threading.Lock()

    def handle(self, method: str, request: bytes, now: float) -> bytes | None:
        assert self._busy.acquire(blocking=False), "two threads at once"
        try:
            self.asked.append((method, request))
            answer = self.answer(method, request)
            if answer is None:
                self.held.set()
            return answer
        finally:
            self._busy.release()


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def fleet(core: Core) -> Iterator[FleetServer]:
    fleet = FleetServer(core, "http")
    yield fleet
    fleet.close()


def post(fleet: FleetServer, path: str, body: bytes = b"") -> tuple[int, str | None, bytes]:
    """Call as a SuperNode does; returns status, content type and body."""
    connection = http.client.HTTPConnection(fleet.address, timeout=SECONDS)
    try:
        connection.request("POST", path, body, {"content-type": "application/protobuf"})
        response = connection.getresponse()
        return response.status, response.getheader("content-type"), response.read()
    finally:
        connection.close()


# Calls


def test_every_method_is_served_at_its_path(fleet: FleetServer, core: Core) -> None:
    for method, path in PATHS.items():
        answer = post(fleet, path, b"request")
        assert answer == (200, "application/protobuf", method.encode())
    assert core.asked == [(method, b"request") for method in PATHS]


def test_an_answer_may_be_empty(fleet: FleetServer, core: Core) -> None:
    core.answer = lambda _, __: b""
    assert post(fleet, "/v1/fleet/deactivate-node") == (200, "application/protobuf", b"")


def test_large_objects_come_through_whole(fleet: FleetServer, core: Core) -> None:
    core.answer = lambda _, request: request
    large = bytes(range(256)) * 2**14
    assert post(fleet, "/v1/fleet/push-object", large)[2] == large


def test_several_calls_may_use_one_connection(fleet: FleetServer) -> None:
    connection = http.client.HTTPConnection(fleet.address, timeout=SECONDS)
    used = set()
    for _ in range(3):
        connection.request("POST", "/v1/fleet/get-run", b"request")
        assert connection.getresponse().read() == b"GetRun"
        used.add(connection.sock)
    assert len(used) == 1
    connection.close()


def test_the_core_is_asked_by_one_thread_at_a_time(fleet: FleetServer, core: Core) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: post(fleet, "/v1/fleet/pull-object"), range(40))
    assert {status for status, _, _ in answers} == {200}


def test_nobody_else_than_this_machine_is_served(fleet: FleetServer) -> None:
    assert fleet.address.startswith("127.0.0.1:")


# Waiting for a message


def test_a_call_without_an_answer_yet_is_held_until_there_is_one(
    fleet: FleetServer, core: Core
) -> None:
    core.answer = lambda _, __: None
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(post, fleet, "/v1/fleet/pull-messages")
        assert core.held.wait(SECONDS)
        fleet.change(lambda _: setattr(core, "answer", lambda _, __: b"a message"))
        assert pulling.result(SECONDS)[2] == b"a message"


def test_other_calls_are_answered_while_one_is_held(fleet: FleetServer, core: Core) -> None:
    core.answer = lambda method, _: None if method == "PullMessages" else b"answered"
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(post, fleet, "/v1/fleet/pull-messages")
        assert core.held.wait(SECONDS)
        assert post(fleet, "/v1/fleet/send-node-heartbeat")[2] == b"answered"
        fleet.close()
        pulling.result(SECONDS)


def test_calls_that_are_held_do_not_keep_each_other_busy(fleet: FleetServer, core: Core) -> None:
    core.answer = lambda _, __: None
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(post, fleet, "/v1/fleet/pull-messages")
        assert wait_until(lambda: len(core.asked) >= 2)
        assert not fleet.wait(lambda: len(core.asked) > 10, timeout=0.2)
        fleet.close()


def test_a_held_call_is_answered_empty_when_its_time_is_over(
    fleet: FleetServer, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HOLD_SECONDS", 0.05)
    core.answer = lambda _, __: None
    assert post(fleet, "/v1/fleet/pull-messages") == (200, "application/protobuf", b"")


def test_a_held_call_is_answered_empty_when_the_server_closes(core: Core) -> None:
    fleet = FleetServer(core, "http")
    core.answer = lambda _, __: None
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(post, fleet, "/v1/fleet/pull-messages")
        assert core.held.wait(SECONDS)
        fleet.close()
        assert pulling.result(SECONDS) == (200, "application/protobuf", b"")


def test_who_waits_for_a_state_is_woken_by_the_call_that_brings_it(
    fleet: FleetServer, core: Core
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fleet.wait, lambda: bool(core.asked), SECONDS)
        post(fleet, "/v1/fleet/get-run")
        assert waiting.result(SECONDS)


def test_who_waits_for_a_state_that_does_not_come_is_told_so(fleet: FleetServer) -> None:
    assert not fleet.wait(lambda: False, timeout=0.0)


def test_changes_know_the_time(fleet: FleetServer) -> None:
    times: list[float] = []
    fleet.change(times.append)
    fleet.change(times.append)
    assert 0 < times[0] <= times[1]


def test_a_closed_server_answers_nobody(core: Core) -> None:
    fleet = FleetServer(core, "http")
    fleet.close()
    with pytest.raises(OSError, match=r"."):
        post(fleet, "/v1/fleet/get-run")


# Refusals: Flower's JSON errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RunNotRunning("Run 5 is not running."), 403),
        (FleetError("That makes no sense."), 400),
        (UnknownNode("There is no node 5."), 400),
        (Unimplemented("There is no such method."), 404),
        (BundleError("The disk is full.", "Is there room?"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_is_an_http_error_that_says_why(
    fleet: FleetServer, core: Core, error: Exception, status: int
) -> None:
    def refuse(_: str, __: bytes) -> bytes:
        raise error

    core.answer = refuse
    code, kind, body = post(fleet, "/v1/fleet/get-run")
    assert (code, kind) == (status, "application/json")
    assert json.loads(body)["detail"] == error.message  # type: ignore[attr-defined]


def spoken(fleet: FleetServer, head: str) -> bytes:
    """Return all that the server says to a call with this head, until it closes."""
    host, _, port = fleet.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(f"POST /v1/fleet/get-run HTTP/1.1\r\n{head}\r\n".encode())
        said = b""
        while more := connection.recv(4096):
            said += more
    return said


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("", b"411"),
        ("content-length: many\r\n", b"411"),
        ("transfer-encoding: chunked\r\n", b"411"),
        ("content-length: 2147483649\r\n", b"413"),
        ("content-length: -1\r\n", b"413"),
    ],
)
def test_a_call_of_unknown_or_excessive_length_is_refused_unread(
    fleet: FleetServer, core: Core, head: str, status: bytes
) -> None:
    assert spoken(fleet, head).startswith(b"HTTP/1.1 " + status)
    assert core.asked == []
