"""The carrier on vantage6 5, whose nodes lose results: every message is answered nevertheless."""

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy.calls import Settings
from proxy.carriers import Exchange, asking
from proxy.carriers import vantage6 as module
from proxy.carriers.answers import UNDER_WAY, UNHEARD
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.errors import CarrierError, HostGone
from proxy.platforms import VANTAGE6_5
from proxy.tests.helpers import wait_until
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.testing.model import FakeTask
from proxy.vantage6.v5.server import Server5
from proxy.vantage6.v5.testing import FakeHq

INSTRUCTION, REPLY = b"an instruction bundle", b"a reply bundle"
ANSWER = {"bundle": b64encode(REPLY).decode()}
Says = Mapping[str, Any] | None


class Station:
    """What functions do at the station.

    Attributes
    ----------
    says : dict[str, list[Says]]
        By function, what it leaves the next times; None for a result that its node loses. The last
        one stays.
    called : list[dict[str, Any]]
        The arguments of the functions, with their names.
    """

    def __init__(self) -> None:
        self.says: dict[str, list[Says]] = {
            "courier": [ANSWER],
            "per_round": [ANSWER],
            "ask": [UNDER_WAY],
            "end": [{"host": True}],
        }
        self.called: list[dict[str, Any]] = []
        self.over = threading.Event()

    def __call__(self, task: FakeTask) -> Says:
        method, kwargs = task.input["method"], task.input["kwargs"]
        self.called.append({"method": method, **kwargs})
        if method == "host":
            while not (self.over.wait(0.01) or task.killed.is_set()):
                pass
            return {"served": 1}
        if method == "end":
            self.over.set()
        left = self.says[method]
        return left.pop(0) if len(left) > 1 else left[0]

    def methods(self) -> list[str]:
        """Return the functions that were called."""
        return [each["method"] for each in self.called]


class Bench:
    """A carrier of a central function, and what the station does."""

    def __init__(self, fake: FakeHq, station: Station, folder: Path, warm: bool) -> None:
        self.station = station
        self.fake = fake
        self._folder = folder
        self._server = Server5(
            fake.proxy_url, ContainerLogin(fake.container_token(fake.start_central()))
        )
        creator = VANTAGE6_5.central
        assert creator is not None
        members = {"image": "an/image", "collaboration_id": 1, "session_id": 1}
        organizations = self._server.organizations(1)
        starter = Vantage6Starter(
            self._server, organizations, members, folder, creator, job="task1"
        )
        self.carrier = TaskCarrier(starter, {"Beta": Settings("")}, 60.0 if warm else None)
        if warm:
            self.carrier.prepare("Beta", 7)

    def exchange(self, timeout: float = 30.0) -> bytes:
        """Bring a bundle to the station; returns what comes back."""
        source, target = self._folder / "instruction", self._folder / "reply"
        source.write_bytes(INSTRUCTION)
        self.carrier.exchange(
            "Beta", Exchange("1f", "train 3", source, target, timeout, threading.Event())
        )
        return target.read_bytes()


@pytest.fixture
def station() -> Station:
    return Station()


@pytest.fixture
def bench(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bench]]:
    for name in ("_FIRST_SECONDS", "_EVERY_SECONDS", "_UNHEARD_SECONDS", "_LOST_SECONDS"):
        monkeypatch.setattr(asking, name, 0.1)
    monkeypatch.setattr(module, "_POLL_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(module, "_ENDING_DELAY_SECONDS", 0.1)
    monkeypatch.setattr(module, "_LEAVE_SECONDS", 5.0)
    with FakeHq(station) as fake:

        def made(warm: bool = True) -> Bench:
            return Bench(fake, station, tmp_path, warm)

        yield made
        station.over.set()


def test_host_courier_and_end_name_the_job_in_whose_folder_they_meet(
    bench: Callable[..., Bench], station: Station
) -> None:
    made = bench()
    assert made.exchange() == REPLY
    made.carrier.close()
    assert station.methods() == ["host", "courier", "end"]
    assert {each["job"] for each in station.called} == {"task1"}


def test_functions_have_no_network_and_the_containers_own_session(
    bench: Callable[..., Bench],
) -> None:
    made = bench()
    made.exchange()
    assert {each["action"] for each in made.fake.api.members} == {"federated_compute"}
    assert {each["session_id"] for each in made.fake.api.members} == {1}


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "per-round"])
def test_a_lost_answer_is_fetched_by_a_small_task(
    bench: Callable[..., Bench], station: Station, warm: bool
) -> None:
    station.says["courier" if warm else "per_round"] = [None]
    station.says["ask"] = [UNDER_WAY, ANSWER]
    made = bench(warm)
    assert made.exchange() == REPLY
    asked = [each for each in station.called if each["method"] == "ask"]
    assert [each["message_id"] for each in asked] == ["1f", "1f"]
    assert made.fake.api.members[-1]["name"] == "train 3: Beta (again)"
    assert station.methods().count("courier") + station.methods().count("per_round") == 1


def test_the_answer_of_the_asking_task_may_be_lost_too(
    bench: Callable[..., Bench], station: Station
) -> None:
    station.says |= {"courier": [None], "ask": [None, None, ANSWER]}
    assert bench().exchange() == REPLY


def test_a_message_that_the_station_never_heard_of_is_brought_once_more(
    bench: Callable[..., Bench], station: Station
) -> None:
    station.says |= {"courier": [None, ANSWER], "ask": [UNHEARD]}
    assert bench().exchange() == REPLY
    assert station.methods().count("courier") == 2


def test_an_asking_task_that_fails_is_none(bench: Callable[..., Bench], station: Station) -> None:
    def fails_first(task: FakeTask) -> Says:
        if task.input["method"] == "ask" and "ask" not in station.methods():
            station.called.append({"method": "ask"})
            raise RuntimeError("a bad day")
        return station(task)

    station.says |= {"courier": [None], "ask": [ANSWER]}
    made = bench()
    made.fake._model._function = fails_first
    assert made.exchange() == REPLY


def test_an_offline_node_is_not_asked_over_and_over(
    bench: Callable[..., Bench], station: Station
) -> None:
    made = bench()
    made.fake.set_node(2, online=False)
    with pytest.raises(CarrierError, match="did not answer"):
        made.exchange(timeout=1.5)
    names = [task.input["method"] for task in made.fake.tasks.values() if task.id > 2]
    assert names == ["courier", "ask"]


def test_an_error_of_the_function_arrives_though_its_task_completed(
    bench: Callable[..., Bench], station: Station
) -> None:
    station.says["courier"] = [{"error": "The disk is full.", "code": "system"}]
    with pytest.raises(CarrierError, match="Beta: The disk is full"):
        bench().exchange()


def test_a_host_whose_end_nobody_saw_is_replaced_when_a_courier_misses_it(
    bench: Callable[..., Bench], station: Station
) -> None:
    station.says["courier"] = [{"error": "It ended.", "code": HostGone.code}, ANSWER]
    made = bench()
    with pytest.raises(CarrierError, match="It ended"):
        made.exchange()
    assert made.exchange() == REPLY
    assert station.methods().count("host") == 2


def test_a_failure_that_lasts_a_moment_is_waited_out(
    bench: Callable[..., Bench], station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STATUS_SECONDS", 0.05)
    released = threading.Event()

    def slow(task: FakeTask) -> Says:
        if task.input["method"] == "courier":
            made.fake.api.moments.add(task.id)
            assert released.wait(10.0)
        return station(task)

    made = bench()
    made.fake._model._function = slow
    asker = threading.Timer(0.5, released.set)
    asker.start()
    assert made.exchange() == REPLY
    asker.join()


def test_hosts_are_told_of_the_end_and_waited_for(
    bench: Callable[..., Bench], station: Station
) -> None:
    made = bench()
    made.exchange()
    made.carrier.close()
    host = next(task for task in made.fake.tasks.values() if task.input["method"] == "host")
    wait_until(lambda: host.ended)
    assert host.status == "completed"
