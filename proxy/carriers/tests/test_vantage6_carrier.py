"""The carrier through a vantage6 server: what its tasks are, and what becomes of their trouble."""

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from proxy.calls import LONGEST_SECONDS, Settings
from proxy.carriers import Exchange, vantage6
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.errors import (
    Cancelled,
    CarrierError,
    HostGone,
    HostIdle,
    ServerUnreachable,
    Vantage6Error,
)
from proxy.platforms import VANTAGE6_4
from proxy.tests.helpers import noise, wait_until
from proxy.vantage6.encryption import Encrypted
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import Ended, Failure, FakeServer, FakeTask, private_key

SECONDS = 20.0
JOB = "5ca1ab1e"
MEMBERS = {
    "image": "an/image",
    "collaboration_id": 1,
    "databases": [{"label": "default"}, {"label": "scans"}],
}
STATIONS = {name: Settings(f"name='{name}'") for name in ("Alpha", "Beta", "Gamma")}
INSTRUCTION = b"the instruction"

Courier = Callable[[FakeTask], bytes | Mapping[str, Any] | None]


def answered(task: FakeTask) -> dict[str, Any]:
    """Answer a bundle with a bundle, as couriers and per-round functions do."""
    bundle = b"the reply to " + base64.b64decode(task.input["bundle"])
    return {"bundle": base64.b64encode(bundle).decode()}


class Nodes:
    """What the organizations' nodes run: hosts that stay, and couriers that do as they are told.

    Attributes
    ----------
    courier : Courier
        What a courier, or a per-round function, does.
    """

    def __init__(self) -> None:
        self.courier: Courier = answered

    def __call__(self, task: FakeTask) -> bytes | Mapping[str, Any] | None:
        return None if task.input["method"] == "host" else self.courier(task)


class Bench:
    """A carrier, the server that it calls, and what the nodes do.

    Parameters
    ----------
    fake : FakeServer
        The server.
    nodes : Nodes
        What its nodes do.
    folder : Path
        An empty one.
    outside : bool
        Whether the carrier is a user's, not a central container's.
    warm : bool
        Whether SuperNodes are kept warm.
    """

    def __init__(
        self, fake: FakeServer, nodes: Nodes, folder: Path, outside: bool, warm: bool
    ) -> None:
        self.fake = fake
        self.nodes = nodes
        self.cancelled = threading.Event()
        self.started: list[str] = []
        self._folder = folder
        self.payloads = folder / "payloads"
        self.payloads.mkdir()
        server = self._user() if outside else self._container()
        self.first_task = len(fake.tasks) + 1
        creator = VANTAGE6_4.user if outside else VANTAGE6_4.central
        assert creator is not None
        starter = Vantage6Starter(
            server,
            server.organizations(1),
            MEMBERS,
            self.payloads,
            creator,
            JOB if outside else None,
        )
        self.carrier = TaskCarrier(starter, STATIONS, 60.0 if warm else None)

    def _user(self) -> Server4:
        login = UserLogin(self.fake.url, "ada", self.fake.api.password)
        if not self.fake.collaborations[1].encrypted:
            return Server4(self.fake.url, login)
        key = self._folder / "key.pem"
        key.write_bytes(private_key(1))
        return Server4(self.fake.url, login, Encrypted(key))

    def _container(self) -> Server4:
        self.central = self.fake.start_central()
        return Server4(self.fake.proxy_url, ContainerLogin(self.fake.container_token(self.central)))

    @property
    def made(self) -> list[FakeTask]:
        """The tasks that the carrier created, in their order."""
        return [task for task in self.fake.tasks.values() if task.id >= self.first_task]

    @property
    def methods(self) -> list[str]:
        """The functions that they call."""
        return [task.input["method"] for task in self.made]

    def exchange(
        self,
        station: str = "Beta",
        timeout: float = SECONDS,
        instruction: bytes = INSTRUCTION,
        title: str = "train 3",
        task: str = "",
    ) -> bytes:
        """Bring a bundle to a station; returns what comes back."""
        source, target = (self._folder / f"{name} {station}" for name in ("instruction", "reply"))
        source.write_bytes(instruction)
        target.unlink(missing_ok=True)
        exchange = Exchange(
            *("1f", title, source, target, timeout, self.cancelled),
            task=task,
            started=self.started.append,
        )
        self.carrier.exchange(station, exchange)
        return target.read_bytes()

    def fails(self, station: str = "Beta", timeout: float = SECONDS) -> str:
        """Do what `exchange` does, and meet an error; returns what it says."""
        with pytest.raises(CarrierError) as caught:
            self.exchange(station, timeout)
        return caught.value.message

    def asked(self, request: str) -> int:
        """Return how often the server was asked for something."""
        return self.fake.requests.count(request)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask often, and believe at once what the server says."""
    monkeypatch.setattr(vantage6, "_POLL_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(vantage6, "_STATUS_SECONDS", 0.05)
    monkeypatch.setattr(vantage6, "_NODES_ASKED_EVERY_SECONDS", -1.0)
    monkeypatch.setattr(vantage6, "_ENDING_DELAY_SECONDS", 0.0)
    monkeypatch.setattr("proxy.system.retry._PAUSE_SECONDS", (0.01, 0.02))


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a carrier with its server; by default per-round from inside a central container."""
    fakes: list[FakeServer] = []

    def make(outside: bool = False, warm: bool = False, encrypted: bool = False) -> Bench:
        nodes = Nodes()
        fakes.append(FakeServer(nodes, encrypted=encrypted))
        return Bench(fakes[-1], nodes, tmp_path, outside, warm)

    yield make
    for each in fakes:
        each.close()


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


@pytest.fixture
def outside(make: Make) -> Bench:
    return make(outside=True)


@pytest.fixture
def warm(make: Make) -> Bench:
    """A carrier whose station Beta has its host."""
    bench = make(warm=True)
    bench.carrier.prepare("Beta", 7)
    return bench


@pytest.fixture(params=["per-round", "per-round from outside", "warm"])
def any_bench(make: Make, request: pytest.FixtureRequest) -> Bench:
    """Every kind of carrier, ready for messages to Beta."""
    bench = make(outside="outside" in request.param, warm=request.param == "warm")
    bench.carrier.prepare("Beta", 7)
    return bench


# All goes well


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("kind", ["inside", "outside"])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_bundle_reaches_its_organization_and_the_answer_comes_back(
    make: Make, kind: str, encrypted: bool, size: int
) -> None:
    bench = make(outside=kind == "outside", encrypted=encrypted)
    sent = noise(size)
    assert bench.exchange(instruction=sent) == b"the reply to " + sent


def test_a_warm_station_answers_like_any_other(warm: Bench) -> None:
    assert [warm.exchange(), warm.exchange()] == [b"the reply to " + INSTRUCTION] * 2


def test_the_stations_are_the_organizations(bench: Bench) -> None:
    assert list(bench.carrier.stations) == ["Alpha", "Beta", "Gamma"]


def test_every_bundle_is_a_task_of_its_own_for_one_organization(bench: Bench) -> None:
    bench.exchange("Alpha")
    bench.exchange("Beta", title="evaluate 3")
    bench.exchange("Alpha", title="train 4")
    assert [(task.asked.name, task.asked.organization) for task in bench.made] == [
        ("train 3: Alpha", 1),
        ("evaluate 3: Beta", 2),
        ("train 4: Alpha", 1),
    ]


def test_a_task_is_what_all_tasks_of_the_carrier_are(any_bench: Bench) -> None:
    any_bench.exchange()
    for task in any_bench.made:
        assert (task.asked.image, task.asked.collaboration) == ("an/image", 1)
        assert task.asked.databases == ("default", "scans")
        assert "Beta" in task.asked.description


def test_from_inside_tasks_belong_to_the_central_task_and_from_outside_to_none(
    any_bench: Bench,
) -> None:
    any_bench.exchange()
    central = getattr(any_bench, "central", None)
    assert {task.parent for task in any_bench.made} == {central}


def test_nothing_of_an_exchange_stays_in_the_folder(any_bench: Bench) -> None:
    any_bench.exchange()
    any_bench.nodes.courier = lambda _: {}
    any_bench.fails()
    assert list(any_bench.payloads.iterdir()) == []


def test_stations_have_their_exchanges_at_the_same_time(bench: Bench) -> None:
    together = threading.Barrier(2)

    def courier(task: FakeTask) -> dict[str, Any]:
        together.wait(SECONDS)
        return answered(task)

    bench.nodes.courier = courier
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(bench.exchange, ["Alpha", "Beta"]))
    assert found == [b"the reply to " + INSTRUCTION] * 2


# Per-round


@pytest.mark.parametrize(("kind", "job"), [("inside", None), ("outside", JOB)])
def test_a_per_round_function_is_told_its_node_config_and_the_job_that_vantage6_does_not_make(
    make: Make, kind: str, job: str | None
) -> None:
    bench = make(outside=kind == "outside")
    bench.exchange()
    (task,) = bench.made
    assert task.input["method"] == "per_round"
    assert task.input["kwargs"]["message_id"] == "1f"
    assert task.input["kwargs"]["node_config"] == "name='Beta'"
    assert task.input["kwargs"].get("job") == job


def test_no_host_starts_per_round(bench: Bench) -> None:
    bench.carrier.prepare("Beta", 7)
    assert bench.made == []


# Warm hosts


def test_a_host_starts_under_its_node_id_before_any_courier(warm: Bench) -> None:
    warm.exchange()
    host, courier = warm.made
    assert host.asked.name == "host: Beta"
    assert host.input == {
        "method": "host",
        "kwargs": {
            "node_id": "7",
            "node_config": "name='Beta'",
            "mode": "bridge",
            "idle_limit": 60.0,
            "host": courier.input["kwargs"]["host"],
        },
    }
    assert courier.asked.name == "train 3: Beta"
    assert courier.input["method"] == "courier"
    assert courier.input["kwargs"]["message_id"] == "1f"
    assert 0.0 < courier.input["kwargs"]["timeout"] <= SECONDS


def test_a_courier_waits_no_longer_than_the_longest(warm: Bench) -> None:
    warm.exchange(timeout=1e300)
    timeout = warm.made[1].input["kwargs"]["timeout"]
    assert LONGEST_SECONDS - SECONDS < timeout <= LONGEST_SECONDS


def test_a_host_that_lives_is_kept(warm: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        warm.exchange()
    assert warm.methods == ["host", "courier", "courier", "courier"]
    assert not caplog.records


@pytest.mark.parametrize("status", ["completed", "crashed", "killed by user"])
def test_a_host_that_ended_is_replaced_at_the_next_message_with_a_warning(
    warm: Bench, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    warm.exchange()
    warm.made[0].status = status
    assert warm.exchange() == b"the reply to " + INSTRUCTION
    assert warm.methods == ["host", "courier", "host", "courier"]
    first, second = (warm.made[number].input["kwargs"] for number in (0, 2))
    assert first.pop("host") != second.pop("host")
    assert first == second
    assert f"station Beta: its host ended ({status}); a new one starts" in caplog.text
    assert "the ClientApp's state is lost" in caplog.text


def test_a_host_that_said_why_it_ended_is_quoted(
    warm: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    warm.made[0].status = "crashed"
    warm.made[0].result = b'{"error": "The disk is full."}'
    warm.exchange()
    assert "its host ended (The disk is full.)" in caplog.text


def test_a_host_that_could_not_be_started_is_started_with_the_next_message(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(warm=True)
    with monkeypatch.context() as patched:
        patched.setattr(vantage6, "_CREATE_PATIENCE_SECONDS", 0.0)
        bench.fake.fail_next(Failure.LOST, "POST task")
        with pytest.raises(ServerUnreachable):
            bench.carrier.prepare("Beta", 7)
    assert bench.exchange() == b"the reply to " + INSTRUCTION
    assert bench.methods == ["host", "courier"]
    assert bench.made[0].input["kwargs"]["node_id"] == "7"


@pytest.mark.parametrize("kind", ["inside", "outside"])
def test_a_host_that_somebody_deleted_is_replaced_once_the_station_says_that_it_is_gone(
    make: Make, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A central sees no difference to a server that is away: its node's proxy hides it."""
    bench = make(outside=kind == "outside", warm=True)
    bench.carrier.prepare("Beta", 7)
    bench.exchange()
    bench.fake.delete(bench.made[0])
    bench.nodes.courier = lambda _: {"error": "The host is gone.", "code": HostGone.code}
    if kind == "inside":
        assert "The host is gone." in bench.fails()
    bench.nodes.courier = answered
    bench.exchange()
    assert bench.methods[-2:] == ["host", "courier"]
    assert "its host ended (nobody saw how); a new one starts" in caplog.text


def test_a_host_that_ended_idle_before_its_courier_came_is_replaced_at_once(warm: Bench) -> None:
    def idle_once(_: FakeTask) -> dict[str, Any]:
        warm.nodes.courier = answered
        return {"error": "No message came for long.", "code": HostIdle.code}

    warm.nodes.courier = idle_once
    assert warm.exchange() == b"the reply to " + INSTRUCTION
    assert warm.methods == ["host", "courier", "host", "courier"]
    hosts = [task.input["kwargs"]["host"] for task in warm.made]
    assert hosts[0] == hosts[1] != hosts[2] == hosts[3]


def test_a_host_that_is_always_idle_is_an_error(warm: Bench) -> None:
    warm.nodes.courier = lambda _: {"error": "No message came.", "code": HostIdle.code}
    assert "No message came." in warm.fails()
    assert warm.methods == ["host", "courier", "host", "courier"]


def test_a_server_that_is_away_is_not_taken_for_the_end_of_a_host(warm: Bench) -> None:
    warm.fake.fail_next(Failure.ERROR, f"GET run/{warm.made[0].run}")
    warm.exchange()
    assert warm.methods == ["host", "courier"]


class Doubt:
    """A warm station where a courier failed, and the next message."""

    def __init__(self, bench: Bench, pool: ThreadPoolExecutor) -> None:
        bench.nodes.courier = lambda _: {}
        bench.fails()
        bench.nodes.courier = answered
        self._bench = bench
        self._host = bench.made[0]
        self.next: Future[bytes] = pool.submit(bench.exchange)

    def is_asked(self, times: int) -> bool:
        """Wait until the host's status was asked for so many times more."""
        request = f"GET run/{self._host.run}"
        before = self._bench.asked(request)
        return wait_until(lambda: self._bench.asked(request) >= before + times)


def test_after_a_couriers_failure_a_host_that_is_shown_as_active_is_doubted(
    warm: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vantage6, "_ENDING_DELAY_SECONDS", SECONDS)
    with ThreadPoolExecutor(1) as pool:
        doubt = Doubt(warm, pool)
        assert doubt.is_asked(3)
        assert warm.methods == ["host", "courier"]
        warm.made[0].status = "crashed"
        assert doubt.next.result(SECONDS) == b"the reply to " + INSTRUCTION
    assert warm.methods == ["host", "courier", "host", "courier"]


def test_a_host_that_is_doubted_for_long_enough_is_trusted_again(
    warm: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vantage6, "_ENDING_DELAY_SECONDS", 0.1)
    with ThreadPoolExecutor(1) as pool:
        assert Doubt(warm, pool).next.result(SECONDS) == b"the reply to " + INSTRUCTION
    assert warm.methods == ["host", "courier", "courier"]
    before = warm.asked(f"GET run/{warm.made[0].run}")
    warm.exchange()
    assert warm.asked(f"GET run/{warm.made[0].run}") == before + 1


def test_a_station_that_is_called_off_while_its_host_is_doubted_does_not_wait(
    warm: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vantage6, "_ENDING_DELAY_SECONDS", SECONDS)
    with ThreadPoolExecutor(1) as pool:
        doubt = Doubt(warm, pool)
        assert doubt.is_asked(1)
        warm.cancelled.set()
        with pytest.raises(Cancelled):
            doubt.next.result(SECONDS)


def test_a_host_whose_node_id_changed_gets_a_successor(warm: Bench) -> None:
    warm.carrier.prepare("Beta", 8)
    assert [task.input["kwargs"]["node_id"] for task in warm.made] == ["7", "8"]


# Tasks that end otherwise


def ends_as(status: str, result: bytes = b"") -> Courier:
    def courier(_: FakeTask) -> None:
        raise Ended(status, result)

    return courier


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("not allowed", "the node's owner does not allow this image or this user"),
        ("non-existing Docker image", "the node can neither find nor pull the image"),
        ("start failed", "the node could not start the container"),
        ("unknown error", "the node lost the container"),
        ("failed", "failed"),
        ("killed by user", "killed by user"),
    ],
)
def test_a_task_that_nothing_ran_to_its_end_says_how_it_ended_and_what_that_means(
    any_bench: Bench, status: str, meaning: str
) -> None:
    any_bench.nodes.courier = ends_as(status)
    said = any_bench.fails()
    assert f"Task {any_bench.made[-1].id} at Beta ended: {status}" in said
    assert meaning in said


def test_a_function_that_failed_is_quoted(any_bench: Bench) -> None:
    any_bench.nodes.courier = ends_as("crashed", b'{"error": "There is no database \\"x\\"."}')
    assert any_bench.fails() == 'Beta: There is no database "x".'


@pytest.mark.parametrize("status", ["crashed", "completed"])
def test_a_task_without_a_result_says_so(any_bench: Bench, status: str) -> None:
    any_bench.nodes.courier = ends_as(status)
    number = any_bench.first_task + any_bench.methods.count("host")
    said = any_bench.fails()
    assert f"Task {number} at Beta ended: {status}" in said
    assert "has no result" in said


@pytest.mark.parametrize(
    "result", [b"not JSON", b"[]", b'{"served": 3}', b'{"bundle": "?"}', b'{"bundle": "eA=="']
)
@pytest.mark.parametrize("status", ["crashed", "completed"])
def test_a_result_that_is_no_answer_is_an_error_that_names_the_task(
    any_bench: Bench, status: str, result: bytes
) -> None:
    any_bench.nodes.courier = ends_as(status, result)
    said = any_bench.fails()
    assert f"Task {any_bench.made[-1].id} at Beta ended: {status}" in said


def test_an_exchange_after_trouble_works_as_if_nothing_had_been(any_bench: Bench) -> None:
    any_bench.nodes.courier = ends_as("not allowed")
    any_bench.fails()
    any_bench.nodes.courier = answered
    assert any_bench.exchange() == b"the reply to " + INSTRUCTION


# What takes too long, and what is called off


def stays_active(_: FakeTask) -> None:
    return None


def test_a_task_that_stays_active_is_given_up_and_named_with_its_status(any_bench: Bench) -> None:
    any_bench.nodes.courier = stays_active
    said = any_bench.fails(timeout=0.2)
    assert "Beta did not answer" in said
    assert f"task {any_bench.made[-1].id} is active" in said
    assert "its node is online" in said


@pytest.mark.parametrize("kind", ["outside", "warm"])
def test_a_task_whose_node_is_offline_is_given_up_saying_so(make: Make, kind: str) -> None:
    bench = make(outside=kind == "outside", warm=kind == "warm")
    bench.carrier.prepare("Beta", 7)
    bench.fake.set_node(2, online=False)
    said = bench.fails(timeout=0.2)
    assert f"task {bench.made[-1].id} is pending, its node is offline" in said


@pytest.mark.parametrize("kind", ["inside", "outside"])
def test_a_task_that_nobody_waits_for_any_more_is_killed_where_that_is_allowed(
    make: Make, kind: str
) -> None:
    bench = make(outside=kind == "outside")
    bench.nodes.courier = stays_active
    bench.fails(timeout=0.05)
    assert bench.made[-1].killed.is_set() == (kind == "outside")
    assert bench.asked("POST kill/task") == (kind == "outside")


@pytest.mark.parametrize("kind", ["inside", "outside"])
def test_an_exchange_that_is_called_off_ends_and_its_task_is_killed_where_that_is_allowed(
    make: Make, kind: str
) -> None:
    bench = make(outside=kind == "outside")
    started = threading.Event()

    def courier(_: FakeTask) -> None:
        started.set()

    bench.nodes.courier = courier
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(bench.exchange)
        assert started.wait(SECONDS)
        bench.cancelled.set()
        with pytest.raises(Cancelled):
            exchange.result(SECONDS)
    assert bench.made[-1].killed.is_set() == (kind == "outside")


def test_a_task_that_cannot_be_killed_goes_on_with_a_warning(
    outside: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    outside.nodes.courier = stays_active
    outside.fake.fail_next(Failure.ERROR, "POST kill/task")
    assert "did not answer" in outside.fails(timeout=0.05)
    assert f"cannot end task {outside.made[-1].id}" in caplog.text


# A server that is away for a while


@pytest.mark.parametrize("failure", [Failure.ERROR, Failure.LOST])
@pytest.mark.parametrize("call", ["POST task", "GET result"])
def test_a_server_that_is_away_for_a_while_is_waited_for(
    any_bench: Bench, call: str, failure: Failure
) -> None:
    any_bench.fake.fail_next(failure, call, times=3)
    assert any_bench.exchange() == b"the reply to " + INSTRUCTION
    assert any_bench.asked(call) >= 4


@pytest.mark.parametrize("call", ["POST task", "GET result"])
def test_a_server_whose_answer_is_lost_on_the_way_is_asked_again(
    any_bench: Bench, call: str
) -> None:
    any_bench.fake.fail_next(Failure.ANSWER_LOST, call)
    assert any_bench.exchange() == b"the reply to " + INSTRUCTION


@pytest.mark.parametrize("failure", [Failure.ANSWER_LOST, Failure.TWICE])
def test_a_task_that_was_created_twice_is_the_same_to_its_station(
    any_bench: Bench, failure: Failure
) -> None:
    before = len(any_bench.made)
    any_bench.fake.fail_next(failure, "POST task")
    assert any_bench.exchange() == b"the reply to " + INSTRUCTION
    first, second = any_bench.made[before:]
    assert first.asked == second.asked


def test_a_server_that_stays_away_while_a_task_is_created_is_an_error(
    any_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vantage6, "_CREATE_PATIENCE_SECONDS", 0.1)
    with any_bench.fake.away():
        said = any_bench.fails()
    assert "does not answer" in said


@pytest.mark.parametrize("status", ["told", "not told"])
def test_a_server_that_stays_away_while_a_task_runs_is_an_error_that_names_the_task(
    any_bench: Bench, status: str
) -> None:
    any_bench.nodes.courier = stays_active
    task = len(any_bench.fake.tasks) + 1
    any_bench.fake.fail_next(Failure.LOST, "GET result", 999)
    if status == "not told":
        any_bench.fake.fail_next(Failure.LOST, f"GET task/{task}/status", 999)
    said = any_bench.fails(timeout=0.2)
    assert "Beta did not answer" in said
    assert f"task {task} is {'active' if status == 'told' else 'not heard of'}" in said
    assert "does not answer" in said


def test_a_sound_result_needs_no_other_question(any_bench: Bench) -> None:
    any_bench.exchange()
    assert any_bench.asked(f"GET task/{any_bench.made[-1].id}/status") == 0


def test_a_server_that_refuses_a_users_task_is_not_asked_again(outside: Bench) -> None:
    del outside.fake.collaborations[1].nodes[2]
    with pytest.raises(Vantage6Error, match="no nodes registered") as caught:
        outside.exchange()
    assert not isinstance(caught.value, ServerUnreachable)
    assert outside.asked("POST task") == 1


# Which nodes are online


@pytest.mark.parametrize("kind", ["outside", "warm"])
def test_a_station_is_online_when_its_node_is(make: Make, kind: str) -> None:
    bench = make(outside=kind == "outside", warm=kind == "warm")
    for number, station in enumerate(bench.carrier.stations):
        bench.carrier.prepare(station, number)
    assert [bench.carrier.online(each) for each in bench.carrier.stations] == [True] * 3
    bench.fake.set_node(2, online=False)
    assert [bench.carrier.online(each) for each in bench.carrier.stations] == [True, False, True]
    bench.fake.set_node(2, online=True)
    assert [bench.carrier.online(each) for each in bench.carrier.stations] == [True] * 3


def test_a_station_without_a_node_is_offline(outside: Bench) -> None:
    del outside.fake.collaborations[1].nodes[2]
    assert not outside.carrier.online("Beta")


def test_a_station_that_goes_offline_is_named_once_with_what_it_has_not_begun(
    warm: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    warm.fake.set_node(2, online=False)
    warm.carrier.prepare("Beta", 7)
    for _ in range(2):
        assert not warm.carrier.online("Beta")
    host = warm.made[-1]
    said = [each for each in caplog.messages if "offline" in each]
    assert said == [f"Beta is offline: its node has not started task {host.id}"]
    warm.fake.set_node(2, online=True)
    assert warm.carrier.online("Beta")
    assert "Beta is online again" in caplog.messages


def test_a_task_that_somebody_deleted_hides_no_other_stations_node(make: Make) -> None:
    bench = make(warm=True)
    for name in ("Alpha", "Beta"):
        bench.carrier.prepare(name, 7)
    bench.fake.delete(bench.made[0])
    bench.fake.set_node(2, online=False)
    assert not bench.carrier.online("Beta")


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("kind", ["outside", "warm"])
def test_while_the_server_is_away_a_station_is_what_it_was_before(
    make: Make, kind: str, online: bool
) -> None:
    bench = make(outside=kind == "outside", warm=kind == "warm")
    bench.carrier.prepare("Beta", 7)
    bench.fake.set_node(2, online)
    bench.carrier.online("Beta")
    bench.fake.set_node(2, not online)
    with bench.fake.away():
        assert bench.carrier.online("Beta") == online
    assert bench.carrier.online("Beta") != online


def test_a_login_that_is_over_is_warned_of_once(
    outside: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    outside.fake.expire_tokens("access", "refresh")
    outside.fake.api.password = "another one"  # noqa: S105
    for _ in range(2):
        assert outside.carrier.online("Beta")
    (said,) = [each for each in caplog.messages if "log in again" in each]
    assert "cannot find out which nodes are online" in said


def test_the_nodes_are_asked_for_once_for_all_stations_and_not_all_the_time(
    outside: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vantage6, "_NODES_ASKED_EVERY_SECONDS", SECONDS)
    for _ in range(3):
        for station in outside.carrier.stations:
            assert outside.carrier.online(station)
    assert outside.asked("GET node") == 1


# The end


def test_a_closed_carrier_leaves_hosts_to_see_for_themselves_that_their_job_is_over(
    warm: Bench,
) -> None:
    before = list(warm.fake.requests)
    warm.carrier.close()
    assert warm.fake.requests == before


# What an earlier process began


def test_a_task_that_an_earlier_process_created_is_asked_for_by_its_number(
    outside: Bench,
) -> None:
    first = outside.exchange()
    (number,) = outside.started
    made = len(outside.made)
    assert outside.exchange(task=number) == first
    assert len(outside.made) == made


@pytest.mark.parametrize("gone", ["4711", "no number"])
def test_a_task_that_is_not_there_any_more_is_created_anew(outside: Bench, gone: str) -> None:
    assert outside.exchange(task=gone) == b"the reply to the instruction"
    assert len(outside.made) == 1


def test_a_message_whose_task_failed_meanwhile_is_brought_again(outside: Bench) -> None:
    outside.nodes.courier = lambda _: {"error": "The node was stopped."}
    outside.fails()
    outside.nodes.courier = answered
    assert outside.exchange(task=outside.started[0]) == b"the reply to the instruction"
    assert len(outside.made) == 2


def test_a_task_whose_result_is_lost_is_not_waited_for_until_the_deadline(
    outside: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.carriers.tasks._FOUND_SECONDS", 0.2)
    outside.nodes.courier = lambda _: None  # it stays active
    outside.fails(timeout=0.1)
    outside.nodes.courier = answered
    assert outside.exchange(task=outside.started[0]) == b"the reply to the instruction"
    assert len(outside.made) == 2
