"""A station, or its central, that is killed at any event of an exchange: nothing is trained twice.

Each call to the lane is an event, and so is the work of the ClientApp. A kill ends all threads of
a process at once: whatever they call next does not happen.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from algorithm.station.resident import station as resident
from algorithm.station.resident.station import Resident
from algorithm.station.resident.tests.test_resident import Background, Scene, Stopped, is_reply
from proxy.calls import Mode
from proxy.carriers import Exchange
from proxy.errors import CarrierError
from proxy.lanes import lane
from proxy.lanes.lane import End, LaneCarrier
from proxy.lanes.letters.sealing import Unsealed
from proxy.lanes.mailboxes.mailbox import Mailbox
from proxy.tests.helpers import Drained, some, wait_until


class Killer:
    """A station's end of a lane whose process is killed at a call, before or after it takes effect.

    Attributes
    ----------
    dead : threading.Event
        Whether that happened.
    """

    def __init__(self, mailbox: Mailbox, call: str, number: int, after: bool) -> None:
        self.dead = threading.Event()
        self._mailbox = mailbox
        self._call, self._left, self._after = call, number, after
        self._counting = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._mailbox, name)

        def call(*arguments: Any) -> Any:
            self._live(dies=name == self._call and not self._after)
            outcome = method(*arguments)
            # A letter that was waited for in vain is no event.
            happened = name != "receive" or outcome is not None
            self._live(dies=name == self._call and self._after and happened)
            return outcome

        return call

    def _live(self, dies: bool) -> None:
        with self._counting:
            self._left -= dies
            if not self._left:
                self.dead.set()
        if self.dead.is_set():
            raise Stopped


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(resident, "_TROUBLE_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.1, 0.1, 0.1))
    monkeypatch.setattr(Resident, "_answer_at_the_end", lambda _: None)
    monkeypatch.setattr("threading.excepthook", lambda _: None)  # of threads that were killed
    scene = Scene(tmp_path)
    yield scene
    scene.close()


@pytest.mark.parametrize(
    ("call", "number", "after"),
    some(list(itertools.product(["receive", "send", "done"], [1, 2, 3, 4], [False, True])), 3),
)
def test_a_station_that_is_killed_at_a_call_to_its_lane_trains_once_and_answers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, call: str, number: int, after: bool
) -> None:
    scene.start()
    assert is_reply(scene.exchange(Drained()))
    scene.end_station()
    killer = Killer(scene.memory.at_station(), call, number, after)
    with monkeypatch.context() as patch:
        patch.setattr(scene.memory, "at_station", lambda: killer)
        scene.start()
    sent = Drained()
    exchange = scene.in_background(sent)
    assert killer.dead.wait(60.0)
    scene.end_station()
    scene.start()
    assert is_reply(exchange.result())
    assert is_reply(scene.exchange(Drained()))
    assert scene.supernode.trained.count(sent.metadata.message_id) == 1
    assert wait_until(lambda: scene.memory.left == 0)


def abandoned(scene: Scene, exchange: Background) -> None:
    """Have the central killed: it says nothing more to anybody."""
    scene.carrier.close()
    line = scene.carrier._lines["north"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "_withdraw", lambda _: None)
        scene.cancelled.set()
        with suppress(CarrierError):
            exchange.result()
    scene.cancelled.clear()


def successor_of(scene: Scene) -> None:
    """Put another central in the place of one that was killed."""
    folder = scene.folder / "successor"
    folder.mkdir()
    ends = {"north": End(scene.memory.at_central(), Unsealed())}
    scene.carrier = LaneCarrier(ends, Mode.BRIDGE, folder)
    scene.carrier.prepare("north", 7)


@pytest.mark.parametrize("when", ["before it arrives", "in training", "before its answer is read"])
def test_when_a_central_is_killed_the_next_one_is_answered_and_nothing_is_trained_twice(
    scene: Scene, when: str
) -> None:
    scene.start()
    assert is_reply(scene.exchange(Drained()))
    if when == "before it arrives":
        scene.end_station()
    if when != "before its answer is read":
        scene.supernode.free.clear()
    else:
        scene.carrier._lines["north"].end()  # it listens no more
    before = len(scene.supernode.trained)
    sent = Drained()
    exchange = scene.in_background(sent)
    if when == "before it arrives":
        assert wait_until(lambda: scene.memory.left)
    else:
        assert wait_until(lambda: len(scene.supernode.trained) > before)
    abandoned(scene, exchange)
    successor_of(scene)
    if when == "before it arrives":
        scene.supernode.free.set()
        scene.start()
    again = Drained()
    answer = scene.in_background(again)
    if when == "in training":
        assert scene.supernode.stopped.wait(60.0)
        scene.supernode.free.set()
    assert is_reply(answer.result())
    trained = scene.supernode.trained
    assert trained.count(again.metadata.message_id) == 1
    assert trained.count(sent.metadata.message_id) <= 1
    assert wait_until(lambda: scene.memory.left == 0)


def test_an_exchange_that_a_successor_repeats_is_not_trained_again(scene: Scene) -> None:
    """A central that remembers its messages sends one again, in another exchange."""
    scene.start()
    sent = Drained()
    assert is_reply(scene.exchange(sent))
    scene.carrier.close()
    successor_of(scene)
    reply = scene.folder / "again"
    instruction = sent.write(scene.folder / "instruction-again")
    scene.carrier.exchange(
        "north",
        Exchange(*(sent.metadata.message_id, "train", instruction, reply, 60.0, threading.Event())),
    )
    assert scene.supernode.trained == [sent.metadata.message_id]
