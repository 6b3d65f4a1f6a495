"""A central function in vantage6 is told why a station does nothing, if that can be known."""

import threading
from pathlib import Path

import pytest

from proxy.calls import Settings
from proxy.carriers import Exchange
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.errors import CarrierError
from proxy.platforms import VANTAGE6_4
from proxy.system import retry
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import Ended, Failure, FakeServer, FakeTask

TASK = {"image": "an/image", "collaboration_id": 1}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_PAUSE_SECONDS", (0.01, 0.01))


def carrier_in(fake: FakeServer, folder: Path) -> TaskCarrier:
    """Return the carrier of a central function that keeps SuperNodes warm."""
    login = ContainerLogin(fake.container_token(fake.start_central()))
    server = Server4(fake.proxy_url, login)
    creator = VANTAGE6_4.central
    assert creator is not None
    starter = Vantage6Starter(server, server.organizations(1), TASK, folder, creator)
    return TaskCarrier(starter, {"Beta": Settings("")}, idle_limit=60.0)


def failure_of_an_exchange(carrier: TaskCarrier, folder: Path) -> str:
    """Bring a bundle to a station; returns why it is not answered."""
    instruction = folder / "instruction"
    instruction.write_bytes(b"bundle")
    exchange = Exchange("1f", "train 3", instruction, folder / "reply", 30.0, threading.Event())
    with pytest.raises(CarrierError) as failed:
        carrier.exchange("Beta", exchange)
    return failed.value.message


def test_an_organization_without_a_node_is_named(tmp_path: Path) -> None:
    with FakeServer() as fake:
        del fake.collaborations[1].nodes[2]
        with pytest.raises(CarrierError, match="Perhaps Beta has no node in this collaboration"):
            carrier_in(fake, tmp_path).prepare("Beta", 1)


def test_a_server_that_fails_now_and_then_refuses_nothing(tmp_path: Path) -> None:
    with FakeServer(lambda _: None) as fake:
        carrier = carrier_in(fake, tmp_path)
        fake.fail_next(Failure.ERROR, "POST task", times=3)
        carrier.prepare("Beta", 1)
        assert [task.asked.name for task in fake.tasks.values()][1:] == ["host: Beta"]


def test_what_a_host_said_at_its_end_is_told(tmp_path: Path) -> None:
    """Its courier sees only that it is gone."""

    def function(task: FakeTask) -> None:
        said = "no room" if task.input["method"] == "host" else "The host died."
        raise Ended("crashed", b'{"error": "%s"}' % said.encode())

    with FakeServer(function) as fake:
        carrier = carrier_in(fake, tmp_path)
        carrier.prepare("Beta", 1)
        said = failure_of_an_exchange(carrier, tmp_path)
    assert said == "Beta: The host died. It said: no room"
