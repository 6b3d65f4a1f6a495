"""The central's end of a lane: what it sends, and which answers it takes."""

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.calls import Mode
from proxy.carriers import Exchange
from proxy.errors import Cancelled, CarrierError
from proxy.lanes import lane
from proxy.lanes.lane import End, LaneCarrier
from proxy.lanes.letters.letter import Altered, Head, Kind, LetterRefused
from proxy.lanes.letters.sealing import Unsealed
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable, Room
from proxy.lanes.mailboxes.tests.mailboxes import Usage
from proxy.lanes.testing import MemoryLane
from proxy.tests.helpers import noise, wait_until

SECONDS = 60.0
Answer = Callable[[Head, bytes], list[tuple[Head, bytes]]]


def echo(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
    """Answer as a station does: an instruction with its own bytes."""
    match head.kind:
        case Kind.PING | Kind.WITHDRAWAL:
            return [(Head(Kind.PONG, head.station, head.exchange), b"")]
        case Kind.INSTRUCTION:
            answer = Head(Kind.REPLY, head.station, head.exchange, head.message_id)
            return [(answer, b"reply to " + body)]
    return []


def only_present(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
    """Answer questions, and nothing else."""
    return echo(head, body) if head.kind in (Kind.PING, Kind.WITHDRAWAL) else []


class Station:
    """The other end, which does as it is told.

    Attributes
    ----------
    heads : list[Head]
        All that came.
    """

    def __init__(self, memory: MemoryLane, folder: Path, answer: Answer = echo) -> None:
        self.heads: list[Head] = []
        self._mailbox = memory.at_station()
        self._folder = folder
        self._answer = answer
        self._numbers = count()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work)
        folder.mkdir()
        self._thread.start()

    def _work(self) -> None:
        letter, body = self._folder / "letter", self._folder / "body"
        while not self._end.is_set():
            if name := self._mailbox.receive(letter, 0.05):
                head = Unsealed().open(letter, body)
                self.heads.append(head)
                self.send(*self._answer(head, body.read_bytes()))
                self._mailbox.done(name)

    def send(self, *letters: tuple[Head, bytes]) -> None:
        for head, content in letters:
            number = next(self._numbers)  # tests send, too, while this one answers
            body, letter = self._folder / f"out-{number}", self._folder / f"out-{number}.letter"
            body.write_bytes(content)
            Unsealed().close(head, body, letter)
            self._mailbox.send(letter)

    def saw(self, kind: Kind) -> list[Head]:
        return [head for head in self.heads if head.kind == kind]

    def end(self) -> None:
        self._end.set()
        self._thread.join()


class Scene:
    """A central, and a station that answers as it is told."""

    def __init__(self, folder: Path, answer: Answer = echo, seed: int | None = None) -> None:
        self.memory = MemoryLane(seed)
        self.folder = folder
        (folder / "central").mkdir()
        end = End(self.memory.at_central(), Unsealed())
        self.carrier = LaneCarrier({"north": end}, Mode.DIRECT, folder / "central")
        self.station = Station(self.memory, folder / "station", answer)
        self.cancelled = threading.Event()
        self.started: list[str] = []

    def exchange(
        self, content: bytes = b"train", timeout: float = SECONDS, task: str = ""
    ) -> bytes:
        instruction, reply = self.folder / "instruction", self.folder / "reply"
        instruction.write_bytes(content)
        exchange = Exchange(
            *("1f", "train 1", instruction, reply, timeout, self.cancelled),
            *(task, self.started.append),
        )
        self.carrier.exchange("north", exchange)
        return reply.read_bytes()

    def close(self) -> None:
        self.carrier.close()
        self.station.end()


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(answer: Answer = echo) -> Scene:
        made.append(Scene(tmp_path, answer))
        made[-1].carrier.prepare("north", 7)
        return made[-1]

    yield make
    for scene in made:
        scene.close()


def test_a_station_that_is_never_heard_from_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane, "_MISSED_SECONDS", 0.0)
    memory = MemoryLane(None)
    carrier = LaneCarrier({"north": End(memory.at_central(), Unsealed())}, Mode.DIRECT, tmp_path)
    carrier.prepare("north", 7)
    assert wait_until(lambda: memory.left)
    carrier.close()
    assert caplog.text.count("station north has not been heard from on its lane") == 1


def test_a_bundle_goes_there_and_its_answer_comes_back(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    assert scene.exchange() == b"reply to train"
    (head,) = scene.station.saw(Kind.INSTRUCTION)
    assert (head.message_id, head.station, head.mode) == ("1f", "north", Mode.DIRECT)


def test_a_letter_that_finds_no_room_when_it_is_opened_waits_for_it(
    scenes: Callable[..., Scene], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write to the disk, too: that there was room before does not mean that there is."""
    monkeypatch.setattr(lane, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = scenes()
    open_letter = Unsealed.open

    def open_on_full_disk(seal: Unsealed, letter: Path, body: Path) -> Head:
        head = open_letter(seal, letter, body)
        if head.kind == Kind.REPLY and "waits for room" not in caplog.text:
            raise OSError(errno.ENOSPC, "No space left on device")
        return head

    monkeypatch.setattr(Unsealed, "open", open_on_full_disk)
    assert scene.exchange() == b"reply to train"
    assert "waits for room" in caplog.text


def test_a_letter_that_waits_for_room_takes_none_and_stays_on_its_lane_when_the_central_ends(
    scenes: Callable[..., Scene], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scenes()
    open_letter = Unsealed.open

    def open_on_full_disk(seal: Unsealed, letter: Path, body: Path) -> Head:
        head = open_letter(seal, letter, body)
        if head.kind == Kind.REPLY:
            body.unlink()
            raise OSError(errno.ENOSPC, "No space left on device")
        return head

    monkeypatch.setattr(Unsealed, "open", open_on_full_disk)
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: "waits for room" in caplog.text)
        assert wait_until(
            lambda: not any((scene.folder / "central" / "north").glob("arrived.*")), timeout=10.0
        )
        scene.carrier.close()
        assert wait_until(lambda: scene.memory.left == 1)
        scene.cancelled.set()
        with pytest.raises(Cancelled):
            exchange.result()


def test_no_letter_that_arrived_stays_on_the_disk(
    scenes: Callable[..., Scene], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (60.0, 60.0, 60.0))  # no other letter comes
    caplog.set_level(logging.INFO)
    scene = scenes()
    assert scene.exchange() == b"reply to train"

    def is_taken() -> bool:
        folder = scene.folder / "central" / "north"
        return wait_until(lambda: not any(folder.glob("arrived.*")), timeout=10.0)

    assert is_taken()
    scene.station.send((Head(Kind.REPLY, "north", "over"), b"too late"))
    assert wait_until(lambda: "a letter is passed over" in caplog.text)
    assert is_taken()
    scene.station.send((Head(Kind.REPLY, "south", "over"), b"for another"))
    assert wait_until(lambda: "a letter is refused" in caplog.text)
    assert is_taken()


def test_a_letter_that_a_killed_central_had_taken_is_removed(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    for name in ("arrived.letter", "arrived.bundle", "arrived.letter.part"):
        (tmp_path / "north" / name).write_bytes(b"a reply")
    LaneCarrier({"north": End(MemoryLane().at_central(), Unsealed())}, Mode.DIRECT, tmp_path)
    assert not any((tmp_path / "north").iterdir())


def test_a_station_is_online_once_it_answered_that_it_is_there(
    scenes: Callable[..., Scene],
) -> None:
    silent = threading.Event()
    scene = scenes(lambda head, body: [] if not silent.is_set() else echo(head, body))
    assert wait_until(lambda: scene.station.saw(Kind.PING))
    assert not scene.carrier.online("north")
    silent.set()
    ping, *_ = scene.station.saw(Kind.PING)
    scene.station.send((Head(Kind.PONG, "north", "another"), b""))
    scene.station.send((Head(Kind.PONG, "north", ping.exchange), b""))
    assert wait_until(lambda: scene.carrier.online("north"))


def test_an_answer_that_names_no_question_does_not_make_a_station_online(
    scenes: Callable[..., Scene], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene = scenes(lambda head, body: [])
    assert wait_until(lambda: scene.station.saw(Kind.PING))
    scene.station.send((Head(Kind.PONG, "north", ""), b""))
    assert wait_until(lambda: "a letter is passed over" in caplog.text)
    assert not scene.carrier.online("north")


def test_a_question_that_is_lost_is_soon_repeated_and_any_copy_of_it_may_be_answered(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 60.0, 60.0))
    scene = scenes(lambda head, body: [])
    assert wait_until(lambda: len(scene.station.saw(Kind.PING)) > 2)
    assert not scene.carrier.online("north")
    first, *others = scene.station.saw(Kind.PING)
    assert {each.exchange for each in others} == {first.exchange}
    scene.station.send((Head(Kind.PONG, "north", first.exchange), b""))
    assert wait_until(lambda: scene.carrier.online("north"))


def test_an_answer_to_one_of_the_last_questions_counts(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over a mount that shows letters late: question and answer take a minute each."""
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 60.0, 60.0))
    monkeypatch.setattr(lane, "_PRESENT_SECONDS", 0.1)
    monkeypatch.setattr(lane, "_QUESTIONS", 1_000_000)
    scene = scenes(lambda head, body: [])
    assert wait_until(lambda: len({each.exchange for each in scene.station.saw(Kind.PING)}) > 1)
    first, *_ = scene.station.saw(Kind.PING)
    scene.station.send((Head(Kind.PONG, "north", first.exchange), b""))
    assert wait_until(scene.carrier._lines["north"]._heard.is_set)


def test_a_question_that_had_no_answer_for_long_is_another_one(
    scenes: Callable[..., Scene],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 60.0, 60.0))
    monkeypatch.setattr(lane, "_PRESENT_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    scene = scenes(lambda head, body: [])
    assert wait_until(lambda: len({each.exchange for each in scene.station.saw(Kind.PING)}) > 4)
    first, *_ = scene.station.saw(Kind.PING)
    scene.station.send((Head(Kind.PONG, "north", first.exchange), b""))
    assert wait_until(lambda: "passed over" in caplog.text)


def test_answers_to_anything_else_are_dropped(scenes: Callable[..., Scene]) -> None:
    def answer(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
        true = echo(head, body)
        if head.kind != Kind.INSTRUCTION:
            return true
        (reply, content), *_ = true
        return [
            (replace(reply, exchange="0" * 32), b"replayed"),
            (replace(reply, station="south"), b"swapped"),
            (replace(reply, kind=Kind.PONG), b"of another kind"),
            (reply, content),
            (reply, b"a second one"),
        ]

    scene = scenes(answer)
    assert scene.exchange() == b"reply to train"
    assert scene.exchange(b"evaluate") == b"reply to evaluate"


def test_a_station_that_refuses_a_letter_gets_it_again(scenes: Callable[..., Scene]) -> None:
    refusals = [Head(Kind.REFUSAL, "north", "", reason="altered")]

    def answer(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
        if head.kind == Kind.INSTRUCTION and refusals:
            return [(refusals.pop(), b"")]
        return echo(head, body)

    assert scenes(answer).exchange() == b"reply to train"


def test_a_refused_letter_is_sent_again_until_the_deadline_if_the_lane_is_cut(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.system.retry._PAUSE_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 60.0))
    monkeypatch.setattr(lane, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = scenes()
    mailbox = scene.carrier._lines["north"]._mailbox
    send, in_vain = mailbox.send, [MailboxUnreachable("The lane is cut.")] * 10

    def send_at_times(letter: Path) -> None:
        if scene.station.saw(Kind.INSTRUCTION) and in_vain:
            raise in_vain.pop()
        send(letter)

    def refuse_first(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
        if head.kind == Kind.INSTRUCTION and in_vain:
            return [(Head(Kind.REFUSAL, "north", "", reason="altered"), b"")]
        return echo(head, body)

    scene.station._answer = refuse_first
    monkeypatch.setattr(mailbox, "send", send_at_times)
    assert scene.exchange() == b"reply to train"


def called_off(scene: Scene, exchange: "Future[bytes]") -> None:
    """Let nobody want an exchange any more, and wait for its end."""
    scene.cancelled.set()
    with pytest.raises(Cancelled):
        exchange.result()


def test_a_refusal_is_done_though_the_lane_is_cut_until_the_letter_is_not_wanted_any_more(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.system.retry._PAUSE_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(lane, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = scenes(only_present)
    mailbox = scene.carrier._lines["north"]._mailbox
    send, in_vain = mailbox.send, threading.Event()

    def cut(_: Path) -> None:
        in_vain.set()
        raise MailboxUnreachable("The lane is cut.")

    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: scene.station.saw(Kind.INSTRUCTION))
        monkeypatch.setattr(mailbox, "send", cut)
        scene.station.send((Head(Kind.REFUSAL, "north", "", reason="altered"), b""))
        assert in_vain.wait(SECONDS)
        called_off(scene, exchange)
    monkeypatch.setattr(mailbox, "send", send)
    assert wait_until(lambda: scene.memory.left == 0)


def test_a_letter_that_is_no_good_while_the_lane_is_cut_does_not_make_the_central_deaf(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.system.retry._PAUSE_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(lane, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = scenes(only_present)
    mailbox = scene.carrier._lines["north"]._mailbox
    receive, truncated, in_vain = mailbox.receive, [Altered("It is truncated.")], threading.Event()

    def receive_truncated(into: Path, seconds: float) -> str | None:
        if truncated and scene.station.saw(Kind.INSTRUCTION):
            raise truncated.pop()
        return receive(into, seconds)

    def cut(letter: Path) -> None:
        in_vain.set()
        raise MailboxUnreachable("The lane is cut.")

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: scene.station.saw(Kind.INSTRUCTION))
        patch.setattr(mailbox, "send", cut)
        patch.setattr(mailbox, "receive", receive_truncated)
        assert wait_until(lambda: not truncated)
        assert in_vain.wait(SECONDS)
        called_off(scene, exchange)
    scene.cancelled.clear()
    scene.station._answer = echo
    assert scene.exchange() == b"reply to train"


def test_letters_that_are_refused_again_and_again_end_the_exchange_and_say_why(
    scenes: Callable[..., Scene],
) -> None:
    def answer(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
        if head.kind == Kind.INSTRUCTION:
            return [(Head(Kind.REFUSAL, "north", "", reason="It was altered."), b"")]
        return echo(head, body)

    scene = scenes(answer)
    with pytest.raises(LetterRefused, match="It was altered"):
        scene.exchange()
    assert len(scene.station.saw(Kind.INSTRUCTION)) == 3


def test_a_reply_for_which_the_disk_has_no_room_waits_for_it_at_no_cost_to_the_station(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    monkeypatch.setattr(Room, "_kept", {})
    content = noise(100_000)
    scene = scenes()
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: Usage(free=150_000))
        scene.station._answer = lambda head, _: echo(head, content)
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: "It waits for room" in caplog.text)
        before = len(scene.station.saw(Kind.PING))
        assert wait_until(lambda: len(scene.station.saw(Kind.PING)) > before + 5)
        assert scene.carrier.online("north")
        assert not exchange.done()
        full.undo()
        assert exchange.result() == b"reply to " + content
    assert len(scene.station.saw(Kind.INSTRUCTION)) == 1
    assert caplog.text.count("It waits for room") == 1
    assert wait_until(lambda: not Room._kept)


def test_a_station_that_does_not_answer_in_time_is_told_to_stop(
    scenes: Callable[..., Scene],
) -> None:
    scene = scenes(only_present)
    assert wait_until(lambda: scene.carrier.online("north"))
    with pytest.raises(CarrierError, match="north did not answer within 0 s; it is online"):
        scene.exchange(timeout=0.3)
    assert wait_until(lambda: scene.station.saw(Kind.WITHDRAWAL))
    (withdrawn,) = scene.station.saw(Kind.WITHDRAWAL)
    (instruction,) = scene.station.saw(Kind.INSTRUCTION)
    assert withdrawn.exchange == instruction.exchange


def test_a_withdrawal_that_is_lost_is_repeated_though_the_station_is_there(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    heard: list[str] = []

    def answer(head: Head, body: bytes) -> list[tuple[Head, bytes]]:
        """Hear the third withdrawal only."""
        if head.kind == Kind.WITHDRAWAL:
            heard.append(head.exchange)
            return only_present(head, body) if len(heard) > 2 else []
        return only_present(head, body)

    scene = scenes(answer)
    with pytest.raises(CarrierError, match="did not answer"):
        scene.exchange(timeout=0.3)
    assert wait_until(lambda: len(heard) == 3)
    before = len(scene.station.saw(Kind.PING))
    assert wait_until(lambda: len(scene.station.saw(Kind.PING)) > before + 2)
    (exchange,) = {*heard}
    assert len(heard) == 3
    assert exchange == scene.station.saw(Kind.INSTRUCTION)[0].exchange


def test_a_withdrawal_is_repeated_until_the_station_is_heard_of(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    monkeypatch.setattr(lane, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = scenes(only_present)
    assert wait_until(lambda: scene.carrier.online("north"))

    def wipe() -> None:
        raise MailboxUnreachable("The lane is cut.")

    scene.station._answer = lambda head, body: []
    with monkeypatch.context() as patch:
        patch.setattr(scene.carrier._lines["north"]._mailbox, "wipe", wipe)
        with pytest.raises(CarrierError, match="did not answer"):
            scene.exchange(timeout=0.5)
        assert not scene.station.saw(Kind.WITHDRAWAL)
    assert wait_until(lambda: len(scene.station.saw(Kind.WITHDRAWAL)) > 1)
    scene.station._answer = only_present

    def is_told() -> bool:
        *_, last = scene.station.heads
        before = scene.station.heads[-3:-1]
        return last.kind == Kind.PING and [each.kind for each in before] == [Kind.PING] * 2

    assert wait_until(is_told)


def test_a_central_that_is_stopped_tells_the_station(scenes: Callable[..., Scene]) -> None:
    scene = scenes(only_present)
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: scene.station.saw(Kind.INSTRUCTION))
        scene.cancelled.set()
        with pytest.raises(Cancelled):
            exchange.result()
    assert wait_until(lambda: scene.station.saw(Kind.WITHDRAWAL))


def test_a_station_that_works_on_a_message_is_online_as_long_as_it_answers(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    scene = scenes(only_present)
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: scene.station.saw(Kind.INSTRUCTION))
        before = len(scene.station.saw(Kind.PING))
        assert wait_until(lambda: len(scene.station.saw(Kind.PING)) > before + 2)
        assert scene.carrier.online("north")
        scene.cancelled.set()
        with pytest.raises(Cancelled):
            exchange.result()


def test_a_station_that_comes_late_finds_its_message(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    scene = scenes()
    scene.station.end()
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: scene.memory.left)
        scene.station = Station(scene.memory, scene.folder / "late")
        assert exchange.result() == b"reply to train"


def test_a_station_that_is_never_heard_of_gets_nothing(scenes: Callable[..., Scene]) -> None:
    scene = scenes(lambda head, body: [])
    with pytest.raises(CarrierError, match="did not answer within 0 s; it is not heard from"):
        scene.exchange(timeout=0.3)
    assert not scene.station.saw(Kind.INSTRUCTION)


class Twins:
    """Answers as two stations that have one name do: to each question both, to letters their own.

    Attributes
    ----------
    there : list[str]
        The instances that are there, in the order in which they answer.
    """

    def __init__(self, *there: str) -> None:
        self.there = list(there)

    def __call__(self, head: Head, body: bytes) -> list[tuple[Head, bytes]]:
        if head.kind == Kind.PING:
            pong = Head(Kind.PONG, "north", head.exchange)
            return [(replace(pong, instance=each), b"") for each in self.there]
        return echo(head, body) if head.instance in self.there else []


def test_of_two_stations_with_one_name_the_first_gets_all_messages_and_it_is_said(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    twins = Twins("a", "b")
    scene = scenes(twins)
    for _ in range(2):
        assert scene.exchange() == b"reply to train"
        (instruction,) = scene.station.saw(Kind.INSTRUCTION)
        assert instruction.instance == "a"
        twins.there.reverse()
        scene.station.heads.clear()
        assert wait_until(lambda: len(scene.station.saw(Kind.PING)) > 1)
    said = [
        record
        for record in caplog.records
        if "two stations have the name north" in record.msg % record.args
    ]
    assert len(said) == 1


def test_another_central_on_the_lane_is_said_once_and_a_predecessor_is_not(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    caplog.set_level(logging.INFO)
    here = threading.Event()
    scene = scenes(lambda head, body: echo(head, body) if here.is_set() else [])

    def passed_over(count: int) -> bool:
        return wait_until(lambda: caplog.text.count("a letter is passed over") >= count)

    scene.station.send((Head(Kind.PONG, "north", "a predecessor's"), b""))
    assert passed_over(1)
    here.set()
    assert wait_until(lambda: scene.carrier.online("north"))
    own, *_ = scene.station.saw(Kind.PING)
    # An answer counts once.
    scene.station.send((Head(Kind.PONG, "north", own.exchange), b""))
    assert passed_over(2)
    assert "another one may use its lane" not in caplog.text
    for more in (3, 4):
        scene.station.send((Head(Kind.PONG, "north", "another central's"), b""))
        assert passed_over(more)
    assert wait_until(lambda: caplog.text.count("another one may use its lane") == 1)


def test_a_station_that_has_another_folder_takes_the_place_of_one_that_is_gone(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.02, 0.02, 0.02))
    monkeypatch.setattr(lane, "_PRESENT_SECONDS", 0.2)
    twins = Twins("a")
    scene = scenes(twins)
    assert scene.exchange() == b"reply to train"
    twins.there = ["b"]
    with pytest.raises(CarrierError, match="was replaced by a station with another folder"):
        scene.exchange()
    assert scene.exchange() == b"reply to train"


def test_what_an_earlier_central_gave_to_a_station_is_not_given_to_its_successor(
    scenes: Callable[..., Scene],
) -> None:
    scene = scenes(Twins("b"))
    with pytest.raises(CarrierError, match="was replaced by a station with another folder"):
        scene.exchange(task="a")
    assert not scene.station.saw(Kind.INSTRUCTION)
    assert scene.exchange(task="b") == b"reply to train"
    assert scene.started == ["b"]


def test_which_station_gets_a_message_is_noted_before_it_is_sent(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scenes(Twins("a"))

    def killed(_: object) -> None:
        raise CarrierError("The central is killed.")

    monkeypatch.setattr(scene.carrier._lines["north"], "_send_again", killed)
    with pytest.raises(CarrierError, match="killed"):
        scene.exchange()
    assert scene.started == ["a"]


def test_a_cut_costs_nothing_but_time(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = scenes()
    scene.station.end()
    scene.memory.cut = True
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(scene.exchange)
        assert wait_until(lambda: scene.memory.in_vain > 5)
        scene.memory.cut = False
        scene.station = Station(scene.memory, scene.folder / "again")
        assert exchange.result() == b"reply to train"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_each_exchange_gets_its_own_answer_whatever_the_lane_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    scene = Scene(tmp_path_factory.mktemp("lane"), seed=seed)
    scene.carrier.prepare("north", 7)
    try:
        for number in range(4):
            assert scene.exchange(b"%d" % number) == b"reply to %d" % number
    finally:
        scene.close()
