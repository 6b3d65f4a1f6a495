"""What a vantage6 server could not store is not sent, and said."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.calls import Settings
from proxy.carriers import Exchange, vantage6
from proxy.carriers.tasks import TaskCarrier
from proxy.carriers.vantage6 import Vantage6Starter
from proxy.errors import CarrierError
from proxy.platforms import VANTAGE6_4
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import FakeServer

TASK = {"image": "an/image", "collaboration_id": 1}
STORED = 16_000
# Base64, and base64 of that.
FITS = 9_000


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server that stores little, and whose stations answer with what they are sent."""
    monkeypatch.setattr(vantage6, "MAX_STORED_BYTES", STORED)
    with FakeServer(lambda task: {"bundle": task.input["bundle"]}) as fake:
        yield fake


def exchange(fake: FakeServer, folder: Path, size: int) -> bytes:
    """Bring a bundle to a station; returns its answer."""
    server = Server4(fake.url, UserLogin(fake.url, "ada", fake.api.password))
    starter = Vantage6Starter(server, server.organizations(1), TASK, folder, VANTAGE6_4.user)
    carrier = TaskCarrier(starter, {"Beta": Settings("")}, idle_limit=None)
    (folder / "instruction").write_bytes(b"x" * size)
    carrier.exchange(
        "Beta",
        Exchange(
            message_id="1f",
            title="train 3",
            instruction=folder / "instruction",
            reply=folder / "reply",
            timeout=30.0,
            cancelled=threading.Event(),
        ),
    )
    return (folder / "reply").read_bytes()


def asked(fake: FakeServer) -> dict[str, Any]:
    """Return the arguments of the only task that there is."""
    (task,) = fake.tasks.values()
    arguments: dict[str, Any] = task.input["kwargs"]
    return arguments


def test_a_message_that_just_fits_is_sent(fake: FakeServer, tmp_path: Path) -> None:
    assert exchange(fake, tmp_path, FITS) == b"x" * FITS


def test_a_message_that_is_too_large_is_refused_before_it_is_sent(
    fake: FakeServer, tmp_path: Path
) -> None:
    with pytest.raises(CarrierError) as refused:
        exchange(fake, tmp_path, FITS + 1)
    assert refused.value.message == (
        "train 3 for Beta takes 9001 bytes, more than the vantage6 server can store: 9000 for a"
        " message and its reply."
    )
    assert not fake.tasks


def test_the_station_is_told_how_much_the_message_leaves_for_its_reply(
    fake: FakeServer, tmp_path: Path
) -> None:
    exchange(fake, tmp_path, 2_000)
    assert asked(fake)["max_reply_bytes"] == 7_000
