"""What a real SuperLink refuses in silence is answered with an error reply instead."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import Federation, finish, superlink
from protos import fleet_pb2 as fleet
from proxy.central.central_proxy import CentralProxy
from proxy.central.report import Observer
from proxy.errors import ClocksDiffer, Unreachable
from proxy.tests.liars import LIES, Lie, LyingCarrier
from proxy.transport.http import HttpTransport
from proxy.transport.node_key import NodeKey
from proxy.transport.superlink import SuperLink
from proxy.transport.testing import make_object

# What a station says that does not lie: an error, because that needs no knowledge of the app.
HONEST = fleet.Error(code=2, reason="honest")

REFUSED_IN_SILENCE = (
    "another sender",
    "another receiver",
    "a reply to another message",
    "lives longer than its message",
    "lives not at all",
    "expired",
    "a clock an hour ahead",
    "a clock in 1970",
)


class Forgetful:
    """Carries calls to the SuperLink; the first answers to PushMessages and PushObject are lost."""

    def __init__(self, address: str) -> None:
        self._http = HttpTransport(address)
        self._to_lose = {"PushMessages": 2, "PushObject": 2}

    def use_key(self, key: NodeKey) -> None:
        """Sign with a key."""
        self._http.use_key(key)

    def call(self, method: str, request: bytes) -> bytes:
        """Make a call; perhaps lose its answer."""
        answer = self._http.call(method, request)
        if self._to_lose.get(method, 0) > 0:
            self._to_lose[method] -= 1
            raise Unreachable(f"The answer to {method} is lost.")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


@pytest.fixture(scope="module")
def lonely(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A SuperLink without SuperNodes."""
    with superlink(flower, tmp_path_factory.mktemp("refusals")) as federation:
        yield federation


@contextmanager
def bridged(
    federation: Federation,
    folder: Path,
    lies: Mapping[str, Lie],
    connect: Callable[[str], SuperLink],
) -> Iterator[None]:
    """Have stations that lie be SuperNodes of a SuperLink."""
    carrier = LyingCarrier(lies, HONEST, time.time)
    central = CentralProxy(connect, carrier, folder, 60.0, Observer())
    central.start()
    try:
        yield
    finally:
        central.stop()


def replies(
    federation: Federation, stations: int, result: Path
) -> tuple[list[dict[str, Any]], float]:
    """Ask all stations once; returns their replies as the ServerApp sees them, and the seconds."""
    submission = federation.submit(
        "faults", num_stations=stations, num_server_rounds=1, result=result
    )
    finish(submission)
    assert result.exists(), submission.log_tail(40)
    (first,) = json.loads(result.read_text())["rounds"]
    return first["replies"], first["seconds"]


def test_every_lie_is_answered_once_and_soon_and_the_honest_are_heard(
    lonely: Federation, tmp_path: Path
) -> None:
    lies = {**LIES, "the truth": Lie(), "neither content nor error": Lie(change=_says_nothing)}
    del lies["objects that its tree lacks"]  # an error has one object only
    address = lonely.address
    with bridged(lonely, tmp_path / "bridge", lies, lambda _: SuperLink(HttpTransport(address))):
        answers, seconds = replies(lonely, len(lies), tmp_path / "result.json")
    assert len(answers) == len(lies)
    assert seconds < 60.0  # messages live twelve hours
    reasons = [answer["reason"] for answer in answers]
    assert reasons.count("honest") == 1
    assert {answer["error"] for answer in answers if answer["reason"] != "honest"} <= {3, 4}
    assert any("clock is wrong: at least 36" in reason for reason in reasons)


def test_a_reply_that_only_the_superlink_finds_wrong_is_answered_with_an_error(
    lonely: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These are refused in silence: what is checked before is what it checks."""
    monkeypatch.setattr("proxy.central.delivery.check_reply", lambda *_: None)
    lies = {name: LIES[name] for name in REFUSED_IN_SILENCE}
    address = lonely.address
    with bridged(lonely, tmp_path / "bridge", lies, lambda _: SuperLink(HttpTransport(address))):
        answers, seconds = replies(lonely, len(lies), tmp_path / "result.json")
    assert seconds < 60.0
    assert len(answers) == len(lies)
    for answer in answers:
        assert "did not take the reply" in answer["reason"]


def test_a_reply_whose_push_is_repeated_because_answers_are_lost_is_not_taken_for_refused(
    lonely: Federation, tmp_path: Path
) -> None:
    lies = {"north": Lie(), "south": Lie()}
    address = lonely.address
    with bridged(lonely, tmp_path / "bridge", lies, lambda _: SuperLink(Forgetful(address))):
        answers, _ = replies(lonely, len(lies), tmp_path / "result.json")
    assert [answer["reason"] for answer in answers] == ["honest", "honest"]


class Ahead(datetime):
    """Is an hour ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Ahead":
        """Return what it takes for the present."""
        return super().now(tz) + timedelta(hours=1)


def test_a_clock_that_is_an_hour_ahead_is_named_and_by_how_much(
    lonely: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = time.time
    monkeypatch.setattr("proxy.transport.node_key.datetime", Ahead)
    monkeypatch.setattr("proxy.transport.http.time.time", lambda: present() + 3600)
    node = SuperLink(HttpTransport(lonely.address))
    with pytest.raises(ClocksDiffer, match=r"clock is 3[56]\d\d s ahead of"):
        node.register()


def _says_nothing(request: fleet.PushMessagesRequest, contents: dict[str, bytes]) -> None:
    """Leave out what the reply says, so that all agrees: only a SuperLink looks for it."""
    message = request.messages_list[0]
    message.ClearField("error")
    message.metadata.message_id = ""
    made = make_object("Message", message.SerializeToString(deterministic=True))
    message.metadata.message_id = made.tree.object_id
    request.message_object_trees[0].CopyFrom(made.tree)
    contents.update(made.contents)
