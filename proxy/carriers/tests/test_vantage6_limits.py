"""What a vantage6 server could not store is not sent, and said."""

import threading
from base64 import b64encode
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
TEXT, ROW = 16_000, 24_000
# Base64, and base64 of that.
FITS, FITS_WITH_REPLY = 9_000, 13_500
REPLY = b64encode(b"a reply").decode()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server that stores little, and and whose stations answer shortly."""
    monkeypatch.setattr(vantage6, "MAX_TEXT_BYTES", TEXT)
    monkeypatch.setattr(vantage6, "MAX_ROW_BYTES", ROW)
    with FakeServer(lambda task: {"bundle": REPLY}) as fake:
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
    assert exchange(fake, tmp_path, FITS) == b"a reply"


def test_a_message_that_is_too_large_is_refused_before_it_is_sent(
    fake: FakeServer, tmp_path: Path
) -> None:
    with pytest.raises(CarrierError) as refused:
        exchange(fake, tmp_path, FITS + 1)
    assert refused.value.message == (
        "train 3 for Beta takes 9001 bytes, more than the vantage6 server can store: 9000 for a"
        " message, and for its reply."
    )
    assert not fake.tasks


def test_the_station_is_told_how_much_the_message_leaves_for_its_reply(
    fake: FakeServer, tmp_path: Path
) -> None:
    exchange(fake, tmp_path, 6_000)
    assert asked(fake)["max_reply_bytes"] == FITS_WITH_REPLY - 6_000


def test_a_reply_may_be_no_larger_than_a_message(fake: FakeServer, tmp_path: Path) -> None:
    exchange(fake, tmp_path, 100)
    assert asked(fake)["max_reply_bytes"] == FITS
