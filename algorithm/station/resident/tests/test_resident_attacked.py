"""Whoever has a sealed lane in their hands: what they do is refused, named, and costs no message.

Each end's log names it, as docs/lanes.md says.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algorithm.station.resident.station import Resident
from algorithm.station.resident.tests.test_resident import Scene, is_reply
from proxy.lanes.letters.keys import KeyPair
from proxy.lanes.letters.letter import Head, Kind
from proxy.lanes.letters.sealing import _PREFIX, Sealed
from proxy.lanes.testing import MemoryLane, MemoryMailbox
from proxy.tests.helpers import Drained, wait_until

CENTRAL, NORTH, SOUTH, STRANGER = KeyPair.new(), KeyPair.new(), KeyPair.new(), KeyPair.new()
# Of a letter, and those before it: what arrives in its place.
Attack = Callable[[bytes, list[bytes]], list[bytes]]
HEAD = Head(Kind.INSTRUCTION, "north", "e" * 32, "1f", 5)


class Sealing(Scene):
    """A scene whose letters are sealed."""

    seals = (Sealed(CENTRAL, NORTH.public), Sealed(NORTH, CENTRAL.public))


@dataclass
class Plan:
    """What is done to letters towards an end.

    Attributes
    ----------
    left : int
        How many letters it is done to.
    done : threading.Event
        Set when it is done.
    kinds : Sequence[Kind]
        What kinds of letters those are.
    """

    towards: str
    attack: Attack
    left: int
    done: threading.Event
    kinds: Sequence[Kind] = tuple(Kind)

    def wants(self, letter: Path) -> bool:
        """Return whether it is done to a letter."""
        return letter.stem in self.kinds


class Hostile(MemoryLane):
    """A lane in the hands of somebody who keeps a copy of each letter that has a bundle.

    Attributes
    ----------
    plan : Plan | None
        What they do; None for nothing yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plan: Plan | None = None
        self._kept: dict[str, list[bytes]] = {"central": [], "station": []}

    def at_central(self) -> MemoryMailbox:
        return self._watched(super().at_central(), "station")

    def at_station(self) -> MemoryMailbox:
        return self._watched(super().at_station(), "central")

    def _watched(self, mailbox: MemoryMailbox, towards: str) -> MemoryMailbox:
        send, kept = mailbox.send, self._kept[towards]

        def hostile(letter: Path) -> None:
            content, plan = letter.read_bytes(), self.plan
            arrives = [content]
            with self.changed:  # a station sends from two threads
                if plan and plan.towards == towards and plan.left and plan.wants(letter):
                    plan.left -= 1
                    arrives = plan.attack(content, kept)
                    plan.done.set()
                if letter.stem in (Kind.INSTRUCTION, Kind.REPLY):
                    kept.append(content)
            for number, each in enumerate(arrives):
                copy = letter.with_name(f"{letter.name}-{number}")
                copy.write_bytes(each)
                send(copy)

        mailbox.send = hostile  # type: ignore[method-assign]
        return mailbox


@pytest.fixture
def forge(tmp_path: Path) -> Callable[[KeyPair, KeyPair], bytes]:
    """Makes a letter from one key to another."""

    def made(writer: KeyPair, reader: KeyPair) -> bytes:
        (tmp_path / "body").write_bytes(b"weights" * 100)
        Sealed(writer, reader.public).close(HEAD, tmp_path / "body", tmp_path / "letter")
        return (tmp_path / "letter").read_bytes()

    return made


@pytest.fixture
def attacked(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> Callable[[str, Attack, int, str], None]:
    """Checks that an attack on so many letters towards an end is named in that end's log."""
    caplog.set_level("INFO")

    def check(towards: str, attack: Attack, letters: int, name: str) -> None:
        caplog.clear()
        lane = Hostile()
        scene = Sealing(tmp_path_factory.mktemp("scene"), memory=lane)
        scene.carrier.prepare("north", 7)
        scene.start()
        try:
            sent = [Drained() for _ in range(3)]
            assert is_reply(scene.exchange(sent[0]))
            lane.plan = Plan(towards, attack, letters, threading.Event())
            for each in sent[1:]:
                assert is_reply(scene.exchange(each))
            assert lane.plan.done.is_set()
            assert scene.supernode.trained == [each.metadata.message_id for each in sent]
            assert wait_until(lambda: f": {name}: " in caplog.text)
        finally:
            scene.close()

    return check


def test_an_answer_that_is_asked_for_anew_while_the_station_ends_with_it_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was altered on its way, and the central is faster than the station."""
    asked, came = count(), threading.Event()
    accept, answer = Resident._accept, Resident._answer

    def accepting(resident: Resident, order: Any) -> bool:
        accepted = accept(resident, order)
        if next(asked):
            came.set()
        return accepted

    def answering(resident: Resident, order: Any) -> None:
        answer(resident, order)
        assert came.wait(60.0)

    monkeypatch.setattr(Resident, "_accept", accepting)
    monkeypatch.setattr(Resident, "_answer", answering)
    lane = Hostile()
    lane.plan = Plan("central", lambda *_: [b"altered"], 1, threading.Event(), [Kind.REPLY])
    scene = Sealing(tmp_path, memory=lane)
    scene.carrier.prepare("north", 7)
    scene.start()
    try:
        assert wait_until(lambda: scene.carrier.online("north"))
        sent = Drained()
        assert is_reply(scene.exchange(sent))
        assert scene.supernode.trained == [sent.metadata.message_id]
        assert wait_until(lambda: lane.left == 0)
    finally:
        came.set()
        scene.close()


ends = st.sampled_from(["central", "station"])
some = st.integers(1, 2)
# Each example is three exchanges, in some tenths of a second.
several = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@several
@given(towards=ends, letters=some, place=st.floats(0, 1), bit=st.integers(0, 7))
def test_an_altered_letter_is_refused_and_named(
    attacked: Callable[..., None], towards: str, letters: int, place: float, bit: int
) -> None:
    """At any bit behind the names of writer and reader: who changes those is a stranger."""

    def alter(letter: bytes, _: list[bytes]) -> list[bytes]:
        changed = bytearray(letter)
        changed[_PREFIX.size + int(place * (len(letter) - _PREFIX.size - 1))] ^= 1 << bit
        return [bytes(changed)]

    attacked(towards, alter, letters, "letter-altered")


@several
@given(towards=ends, letters=some, size=st.floats(0, 1, exclude_max=True))
def test_a_letter_that_was_cut_short_is_refused_and_named(
    attacked: Callable[..., None], towards: str, letters: int, size: float
) -> None:
    def cut(letter: bytes, _: list[bytes]) -> list[bytes]:
        return [letter[: int(size * len(letter))]]

    attacked(towards, cut, letters, "letter-altered")


@several
@given(towards=ends, letters=some, which=st.integers(0, 100), before=st.booleans())
def test_a_replayed_letter_is_named_and_trained_by_nobody(
    attacked: Callable[..., None], towards: str, letters: int, which: int, before: bool
) -> None:
    """A station answers again what comes again, from its memory: that answers nothing any more."""

    def replay(letter: bytes, kept: list[bytes]) -> list[bytes]:
        old = kept[which % len(kept)]
        return [old, letter] if before else [letter, old]

    attacked(towards, replay, letters, "letter-replayed")


@several
@given(towards=ends, letters=some)
def test_a_letter_that_was_swapped_with_one_of_another_lane_is_refused_and_named(
    attacked: Callable[..., None],
    forge: Callable[[KeyPair, KeyPair], bytes],
    towards: str,
    letters: int,
) -> None:
    """Of the same central's lane to another station."""
    if towards == "station":
        swapped, name = forge(CENTRAL, SOUTH), "letter-misaddressed"
    else:
        swapped, name = forge(SOUTH, CENTRAL), "letter-from-stranger"
    attacked(towards, lambda *_: [swapped], letters, name)


@several
@given(towards=ends, letters=some, known=st.booleans(), content=st.binary(max_size=300))
def test_a_foreign_letter_is_refused_and_named(
    attacked: Callable[..., None],
    forge: Callable[[KeyPair, KeyPair], bytes],
    towards: str,
    letters: int,
    known: bool,
    content: bytes,
) -> None:
    """From somebody who has the reader's public key, or made of any bytes at all."""
    reader = NORTH if towards == "station" else CENTRAL
    foreign = forge(STRANGER, reader) if known else b"no such" + content.ljust(_PREFIX.size)
    attacked(towards, lambda *_: [foreign], letters, "letter-from-stranger")
