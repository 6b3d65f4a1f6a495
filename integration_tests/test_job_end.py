"""A host learns from the server that its job is over, and ends with all that it started."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.functions.job_end import when_job_ends
from algorithm.station.job import Job
from algorithm.tests.fake_flower import SUPERNODE
from algorithm.tests.node import SECONDS, Node
from algorithm.tests.vantage6 import add_subtask
from proxy.platforms import VANTAGE6_4
from proxy.system.process import Process
from proxy.tests.helpers import Drained, pid_in, runs, wait_until
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.v4.testing import FakeServer, FakeTask

# Notes that it has a message, and never answers it.
HANGING = SUPERNODE.replace(
    "transport =",
    """
def hang(content):
    open(os.environ["FLWR_HOME"] + ".busy", "w").close()
    import time
    time.sleep(600)

transport =""",
).replace("lambda c: c)", "hang)")


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(lambda _: None) as fake:
        yield fake


@pytest.fixture
def central(fake: FakeServer) -> FakeTask:
    return fake.start_central()


@pytest.fixture
def host_task(fake: FakeServer, central: FakeTask) -> FakeTask:
    return add_subtask(fake, central, "host: Beta", 2)


# Asking


class Watched:
    """The end of a job that is waited for."""

    def __init__(self, fake: FakeServer, host: FakeTask, folder: Path) -> None:
        container = Container(
            *(folder / "in", folder / "out", folder),
            platform=VANTAGE6_4,
            token=fake.container_token(host),
            server=fake.proxy_url,
        )
        self.over = threading.Event()
        self._fake = fake
        when_job_ends(container, self.over.set)

    def is_asked_for(self, central: FakeTask, times: int) -> bool:
        """Wait until the server was asked so often more whether the job is over."""
        request = f"GET run/{central.run}"
        before = self._fake.requests.count(request)
        return wait_until(lambda: self._fake.requests.count(request) >= before + times)


@pytest.fixture
def watched(
    fake: FakeServer, host_task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    monkeypatch.setattr("algorithm.functions.job_end._ASK_SECONDS", 0.01)
    return Watched(fake, host_task, tmp_path)


@pytest.mark.parametrize("status", ["completed", "crashed", "killed by user"])
def test_a_job_is_over_when_the_central_task_has_ended_in_whatever_way(
    watched: Watched, central: FakeTask, status: str
) -> None:
    assert watched.is_asked_for(central, 3)
    assert not watched.over.is_set()
    central.status = status
    assert watched.over.wait(SECONDS)


def test_a_server_that_is_away_does_not_end_a_job(
    watched: Watched, fake: FakeServer, central: FakeTask
) -> None:
    assert watched.is_asked_for(central, 1)
    with fake.away():
        assert watched.is_asked_for(central, 3)
        assert not watched.over.is_set()
        central.status = "completed"
        assert watched.is_asked_for(central, 3)
        assert not watched.over.is_set()
    assert watched.over.wait(SECONDS)


def test_a_job_that_no_central_task_began_is_over_at_once(
    fake: FakeServer, central: FakeTask, tmp_path: Path
) -> None:
    assert Watched(fake, central, tmp_path).over.wait(SECONDS)


def test_an_answer_that_no_server_should_give_does_not_end_the_asking(
    watched: Watched, central: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watched.is_asked_for(central, 1)
    asked = threading.Semaphore(0)

    def senseless(*_: object) -> None:
        asked.release()
        raise KeyError("status")

    with monkeypatch.context() as patch:
        patch.setattr("proxy.vantage6.server.Server.run", senseless)
        assert all(asked.acquire(timeout=SECONDS) for _ in range(3))
    central.status = "completed"
    assert watched.over.wait(SECONDS)


def test_without_a_token_nobody_is_asked(tmp_path: Path) -> None:
    before = threading.active_count()
    container = Container(tmp_path / "in", tmp_path / "out", tmp_path)
    when_job_ends(container, lambda: pytest.fail("the job is not over"))
    assert threading.active_count() == before


# Ending


class Station:
    """A node that runs hosts of the central task's job."""

    def __init__(self, folder: Path, fake: FakeServer, host: FakeTask) -> None:
        self.sent = Drained()
        self._node = Node(folder, supernode=HANGING)
        self._node.give_token(fake, host)
        self._job = self._node.job

    def start(self) -> tuple[Process, Path]:
        """Start a host; returns it, when it serves or waits to, and its output file."""
        host, output = self._node.start_host(self.sent)
        assert wait_until(Job(self._job).has_host)
        return host, output

    @property
    def supernode(self) -> int:
        """The process id of the SuperNode."""
        return pid_in(self._job / "flwr.pid")

    def be_busy(self) -> None:
        """Have the host's ClientApp work on a message."""
        message = Job(self._job).message(self.sent.metadata.message_id)
        part = self.sent.write(message.instruction.with_suffix(".part"))
        part.replace(message.instruction)
        assert wait_until((self._job / "flwr.busy").exists)

    def close(self) -> None:
        self._node.close()


@pytest.fixture
def station(tmp_path: Path, fake: FakeServer, host_task: FakeTask) -> Iterator[Station]:
    station = Station(tmp_path, fake, host_task)
    yield station
    station.close()


def test_an_idle_host_ends_well_when_its_job_is_over(station: Station, central: FakeTask) -> None:
    host, output = station.start()
    supernode = station.supernode
    central.status = "completed"
    assert host.wait(SECONDS)
    assert host.exit_code == 0
    with payload.read(output) as result:
        assert result.fields == {"served": 0}
    assert not runs(supernode)


def test_a_host_that_a_user_made_ends_though_its_idle_limit_is_long(
    tmp_path: Path, fake: FakeServer, central: FakeTask
) -> None:
    node = Node(tmp_path, supernode=HANGING)
    node.give_token(fake, central)  # a task without a parent
    host, output = node.start_host(Drained(), idle_limit=3600.0)
    assert host.wait(SECONDS)
    with payload.read(output) as result:
        assert result.fields == {"served": 0}
    node.close()


def test_a_host_whose_clientapp_is_at_work_ends_when_nobody_wants_the_answer_any_more(
    station: Station, central: FakeTask
) -> None:
    host, _ = station.start()
    supernode = station.supernode
    station.be_busy()
    central.status = "killed by user"
    assert host.wait(SECONDS)
    assert not runs(supernode)


def test_a_host_that_waits_to_take_anothers_place_ends_with_the_job_too(
    station: Station, central: FakeTask
) -> None:
    first, _ = station.start()
    second, output = station.start()
    central.status = "completed"
    assert first.wait(SECONDS)
    assert second.wait(SECONDS)
    with payload.read(output) as result:
        assert result.fields == {"served": 0}
