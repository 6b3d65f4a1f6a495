"""A station that stays answers each message once, whatever its lane does and whenever it dies."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm.station.job import Job
from algorithm.station.policy import Policy
from algorithm.station.resident import station as resident
from algorithm.station.resident.station import Resident
from algorithm.station.runtime import NoReply
from algorithm.tests.stations import SuperNodeInMemory
from proxy.bundle import Bundle
from proxy.calls import Mode
from proxy.carriers import Exchange
from proxy.client import Delivery
from proxy.clock import SYSTEM_CLOCK, Clock, SystemClock
from proxy.errors import CarrierError
from proxy.fleet.messages import ErrorCode
from proxy.lanes import lane
from proxy.lanes.lane import End, LaneCarrier
from proxy.lanes.letters.letter import Head, Kind, Seal
from proxy.lanes.letters.sealing import Unsealed
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable
from proxy.lanes.mailboxes.tests.mailboxes import Usage
from proxy.lanes.testing import MemoryLane, MemoryMailbox
from proxy.testing import record_dict
from proxy.tests.helpers import Drained, noise, wait_until

SECONDS = 60.0
INSTRUCTIONS = "job/messages/*/instruction.bundle"


class LaterClock(SystemClock):
    """The clock of a station, forty days later."""

    def time(self) -> float:
        return super().time() + 40 * 24 * 3600


class Stopped(BaseException):
    """A signal says to end."""


class Working(SuperNodeInMemory):
    """A SuperNode whose ClientApp works as long as a test wants, or until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()
        self.killed = False
        self.stopped = threading.Event()
        self.look = self._work

    def _work(self) -> None:
        while not self.free.wait(0.01):
            if self.killed:
                raise Stopped
            if self.stopped.is_set():
                raise NoReply(ErrorCode.NODE_UNAVAILABLE, "The SuperNode ended.")

    def serve(self, delivery: Delivery, deadline: float) -> None:
        self.stopped.clear()
        super().serve(delivery, deadline)

    def stop(self) -> None:
        self.stopped.set()


class Scene:
    """A central, its lane, and a station with a folder that outlives it.

    Attributes
    ----------
    seals : tuple[Seal, Seal]
        The central's, and the station's.
    """

    seals: tuple[Seal, Seal] = (Unsealed(), Unsealed())

    def __init__(
        self,
        folder: Path,
        seed: int | None = None,
        policy: Policy | None = None,
        memory: MemoryLane | None = None,
    ) -> None:
        self.folder = folder
        self.memory = memory or MemoryLane(seed)
        self.supernode = Working()
        self.policy = policy or Policy()
        self.warm = True
        self.clock: Clock = SYSTEM_CLOCK
        self.modes: list[Mode] = []
        self.cancelled = threading.Event()
        (folder / "central").mkdir()
        self.carrier = LaneCarrier(
            {"north": End(self.memory.at_central(), self.seals[0])},
            Mode.BRIDGE,
            folder / "central",
        )
        if memory is None:
            self.carrier.prepare("north", 7)
        self._thread: threading.Thread | None = None

    @classmethod
    def second(cls, first: "Scene") -> "Scene":
        """Return a second station of the same name and lane, with a folder of its own."""
        folder = first.folder / "second"
        folder.mkdir()
        return cls(folder, memory=first.memory)

    def start(self) -> None:
        """Start the station, for the first time or again."""
        self.supernode.killed = False
        made = Resident(
            "north",
            Job(self.folder / "job"),
            self.memory.at_station(),
            self.seals[1],
            self._starts,
            self.policy,
            self.warm,
            self.clock,
        )

        def serve() -> None:
            with suppress(Stopped):
                made.serve()

        self._made = made
        self._thread = threading.Thread(target=serve)
        self._thread.start()

    def _starts(self, mode: Mode) -> Callable[[int], Working]:
        self.modes.append(mode)

        def start(node_id: int) -> Working:
            self.supernode.at(node_id)
            return self.supernode

        return start

    def stop(self) -> None:
        """Have a signal end the station, when its ClientApp works."""
        assert self._thread is not None
        self.supernode.killed = True
        self._thread.join()

    def exchange(self, sent: Drained, with_fab: bool = True, timeout: float = SECONDS) -> Bundle:
        """Have a message answered; returns the answer."""
        message_id = sent.metadata.message_id
        path = sent.write(self.folder / f"{message_id}.instruction", with_fab)
        reply = self.folder / f"{message_id}.reply"
        self.carrier.exchange(
            "north", Exchange(message_id, "train", path, reply, timeout, self.cancelled)
        )
        return Bundle(reply)

    def in_background(self, sent: Drained, timeout: float = SECONDS) -> "Background":
        return Background(lambda: self.exchange(sent, timeout=timeout))

    def end_station(self) -> None:
        """Let the station end, when nothing is under way."""
        if self._thread is not None:
            self._made.end()
            self._thread.join()

    def close(self) -> None:
        self.supernode.free.set()
        self.carrier.close()
        self.end_station()


class Background(threading.Thread):
    """An exchange in a thread of its own."""

    def __init__(self, work: Callable[[], Bundle]) -> None:
        super().__init__()
        self._work = work
        self._bundle: Bundle | None = None
        self._error: CarrierError | None = None
        self.start()

    def run(self) -> None:
        try:
            self._bundle = self._work()
        except CarrierError as error:
            self._error = error

    def result(self) -> Bundle:
        self.join()
        if self._error is not None:
            raise self._error
        assert self._bundle is not None
        return self._bundle


def failure_in(bundle: Bundle) -> tuple[int, str]:
    with bundle:
        assert bundle.header.WhichOneof("content") == "failure"
        return bundle.header.failure.code, bundle.header.failure.reason


def is_reply(bundle: Bundle) -> bool:
    with bundle:
        return bundle.header.WhichOneof("content") in ("reply",)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The central asks often whether a station is there; to be named before `scene`."""
    monkeypatch.setattr(lane, "_ASK_SECONDS", (0.05, 0.05, 0.05))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(resident, "_TROUBLE_PAUSE_SECONDS", 0.01)
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def working(scene: Scene, sent: Drained) -> Background:
    """Bring a message to the station, and wait until its ClientApp works on it."""
    before = len(scene.supernode.trained)
    scene.supernode.free.clear()
    exchange = scene.in_background(sent)
    assert wait_until(lambda: len(scene.supernode.trained) > before)
    return exchange


def killed_before_it_answers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Background:
    """Bring a message to the station, which is killed when its answer is there."""

    def killed(*_: object) -> None:
        raise Stopped

    scene.start()
    with monkeypatch.context() as patch:
        patch.setattr(Resident, "_reply", killed)
        patch.setattr(Resident, "_answer_at_the_end", lambda _: None)
        exchange = scene.in_background(Drained())
        assert scene._thread is not None
        scene._thread.join()
    return exchange


def test_a_message_is_answered_and_nothing_is_left_on_the_lane(scene: Scene) -> None:
    scene.start()
    for _ in range(3):
        assert is_reply(scene.exchange(Drained()))
    assert len(scene.supernode.trained) == 3
    assert wait_until(lambda: scene.memory.left == 0)
    assert not any((scene.folder / "job" / "letters").glob("*.bundle"))


def test_no_letter_that_arrived_stays_on_the_disk(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (60.0, 60.0, 60.0))  # no other letter comes
    letters = scene.folder / "job" / "letters"
    letters.mkdir(parents=True)
    left = letters / "9.bundle"
    left.write_bytes(b"of a station that was killed")
    scene.start()
    assert not left.exists()
    assert is_reply(scene.exchange(Drained()))
    assert wait_until(lambda: not (letters / "arrived.letter").exists(), timeout=10.0)


def test_a_station_that_is_there_is_online(scene: Scene) -> None:
    assert not scene.carrier.online("north")
    scene.start()
    assert wait_until(lambda: scene.carrier.online("north"))


def test_an_app_that_the_station_lacks_is_asked_for(scene: Scene) -> None:
    scene.start()
    sent = Drained()
    with scene.exchange(sent, with_fab=False) as answer:
        assert answer.header.WhichOneof("content") == "missing_objects"
    assert is_reply(scene.exchange(sent))
    assert is_reply(scene.exchange(Drained(), with_fab=False))
    assert len(scene.supernode.trained) == 2


def test_a_message_that_waited_for_the_station_is_answered(scene: Scene) -> None:
    exchange = scene.in_background(Drained())
    assert wait_until(lambda: scene.memory.left)
    scene.start()
    assert is_reply(exchange.result())


def test_a_station_that_is_stopped_while_it_trains_answers_so(scene: Scene) -> None:
    scene.start()
    exchange = working(scene, Drained())
    scene.stop()
    code, reason = failure_in(exchange.result())
    assert code == ErrorCode.NODE_UNAVAILABLE
    assert "was stopped" in reason
    assert wait_until(lambda: scene.memory.left == 0)


def test_a_station_that_is_killed_while_it_trains_does_not_train_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.start()
    exchange = working(scene, Drained())
    with monkeypatch.context() as patch:
        patch.setattr(Resident, "_answer_at_the_end", lambda _: None)
        scene.stop()
    scene.supernode.free.set()
    scene.start()
    code, reason = failure_in(exchange.result())
    assert code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "does not train twice" in reason
    assert len(scene.supernode.trained) == 1
    assert is_reply(scene.exchange(Drained()))


def test_a_station_that_is_killed_before_its_answer_is_sent_sends_it_afterwards(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = killed_before_it_answers(scene, monkeypatch)
    scene.start()
    assert is_reply(exchange.result())
    assert len(scene.supernode.trained) == 1


def test_a_letter_that_its_lane_hands_out_again_stays_there_until_it_is_answered(
    often: None, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a lane was cut; and then the station is killed."""
    scene.start()
    exchange = working(scene, Drained())
    mailbox = scene._made._mailbox
    assert isinstance(mailbox, MemoryMailbox)
    mailbox._handed_out.clear()
    assert wait_until(lambda: mailbox._handed_out)
    asked = set(scene.carrier._lines["north"]._asked)
    assert wait_until(lambda: set(scene.carrier._lines["north"]._asked) != asked)
    with monkeypatch.context() as patch:
        patch.setattr(Resident, "_answer_at_the_end", lambda _: None)
        scene.stop()
    scene.supernode.free.set()
    scene.start()
    assert "does not train twice" in failure_in(exchange.result())[1]


def test_a_message_that_is_withdrawn_is_stopped_and_the_next_one_answered(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene.start()
    exchange = working(scene, Drained())
    scene.cancelled.set()
    with pytest.raises(CarrierError):
        exchange.result()
    scene.cancelled.clear()
    assert scene.supernode.stopped.wait(SECONDS)
    assert wait_until(
        lambda: "is replaced: its message is not wanted any more" in caplog.text, SECONDS
    )
    scene.supernode.free.set()
    assert is_reply(scene.exchange(Drained()))
    assert "process failed" not in caplog.text


def test_of_a_message_that_is_withdrawn_no_instruction_is_left(scene: Scene) -> None:
    scene.start()
    exchange = working(scene, Drained())
    assert list(scene.folder.glob(INSTRUCTIONS))
    scene.cancelled.set()
    with pytest.raises(CarrierError):
        exchange.result()
    assert wait_until(lambda: not list(scene.folder.glob(INSTRUCTIONS)))


def test_of_a_message_that_is_withdrawn_before_its_turn_nothing_is_left(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene.start()
    under_way, second = working(scene, Drained()), Drained()
    letter, mailbox = scene.folder / "letter", scene.memory.at_central()
    instruction, message_id = scene.folder / "second", second.metadata.message_id
    second.write(instruction)
    for kind, body in ((Kind.INSTRUCTION, instruction), (Kind.WITHDRAWAL, None)):
        head = Head(kind, "north", "an exchange", message_id, time.time_ns() - 10**10)
        Unsealed().close(head, body, letter)
        mailbox.send(letter)
    place = scene.folder / "job" / "messages" / message_id
    assert wait_until(lambda: "is not wanted any more" in caplog.text)
    assert place.exists()
    scene.supernode.free.set()
    under_way.result()
    assert wait_until(lambda: not place.exists())


def test_the_instruction_of_a_message_is_removed_before_its_answer_takes_room_on_the_disk(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (60.0, 60.0, 60.0))  # no other letter comes
    left: list[list[Path]] = []
    close = Unsealed.close

    def look(seal: Unsealed, head: Head, body: Path | None, letter: Path) -> None:
        if head.kind == Kind.REPLY:
            left.append([*scene.folder.glob(INSTRUCTIONS), *letter.parent.glob("*.bundle")])
        close(seal, head, body, letter)

    monkeypatch.setattr(Unsealed, "close", look)
    scene.start()
    sent = Drained()
    for _ in range(2):
        assert is_reply(scene.exchange(sent))
    assert left == [[], []]
    assert len(scene.supernode.trained) == 1


def test_of_a_message_that_was_withdrawn_while_the_station_was_down_no_instruction_is_left(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = killed_before_it_answers(scene, monkeypatch)
    scene.cancelled.set()
    with pytest.raises(CarrierError):
        exchange.result()
    assert list(scene.folder.glob(INSTRUCTIONS))
    scene.start()
    assert not list(scene.folder.glob(INSTRUCTIONS))


def test_the_work_for_a_central_that_was_killed_ends_when_another_one_asks(scene: Scene) -> None:
    scene.start()
    working(scene, Drained())
    scene.carrier.close()  # it listens no more, and tells nobody
    folder = scene.folder / "next"
    folder.mkdir()
    ends = {"north": End(scene.memory.at_central(), Unsealed())}
    successor = LaneCarrier(ends, Mode.BRIDGE, folder)
    sent = Drained()
    exchange = Exchange(
        *(sent.metadata.message_id, "train", sent.write(folder / "instruction")),
        *(folder / "reply", SECONDS, threading.Event()),
    )
    with_successor = threading.Thread(target=lambda: successor.exchange("north", exchange))
    successor.prepare("north", 7)
    with_successor.start()
    assert scene.supernode.stopped.wait(SECONDS)
    scene.supernode.free.set()
    with_successor.join()
    assert is_reply(Bundle(exchange.reply))
    successor.close()
    scene.cancelled.set()


def brought(scene: Scene, sent: Drained, exchange: str, later: int, with_fab: bool = True) -> None:
    """Bring a message in an exchange of its own, so many nanoseconds later than is now."""
    letter, instruction = scene.folder / "letter", scene.folder / "by-hand"
    sent.write(instruction, with_fab)
    message_id, at = sent.metadata.message_id, time.time_ns() + later
    Unsealed().close(
        Head(Kind.INSTRUCTION, "north", exchange, message_id, at, Mode.BRIDGE), instruction, letter
    )
    scene.memory.at_central().send(letter)


def test_of_a_message_that_a_killed_central_sends_anew_while_it_waits_the_later_one_is_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.supernode, "stop", lambda: None)  # it takes long to end
    scene.start()
    first, sent = working(scene, Drained()), Drained()
    for number, exchange in enumerate(("of the killed one", "of its successor")):
        brought(scene, sent, exchange, number * 10**9)
        assert wait_until(lambda each=exchange: each in scene._made._wanted)  # type: ignore[misc]
    scene.supernode.free.set()
    reply = scene._made._job.message(sent.metadata.message_id).reply
    assert wait_until(reply.exists)
    assert is_reply(Bundle(reply))
    assert wait_until(lambda: not scene._made._wanted)
    assert scene.supernode.trained.count(sent.metadata.message_id) == 1
    scene.cancelled.set()
    with pytest.raises(CarrierError):
        first.result()


def test_an_earlier_instruction_for_the_message_that_came_last_is_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later one had no app with it, and the answer was to ask for that."""
    monkeypatch.setattr(lane, "_ASK_SECONDS", (60.0, 60.0, 60.0))  # nothing is wiped
    scene.start()
    assert wait_until(lambda: scene.carrier.online("north"))
    sent = Drained()
    message = scene._made._job.message(sent.metadata.message_id)
    brought(scene, sent, "the later one", 10**9, with_fab=False)
    assert wait_until(lambda: scene.memory.left == 0)
    brought(scene, sent, "the earlier one", 0)
    assert wait_until(message.reply.exists)
    assert is_reply(Bundle(message.reply))


def test_a_letter_that_is_much_too_old_is_refused_and_the_central_hears_why(
    often: None,
    scene: Scene,
) -> None:
    scene.clock = LaterClock()
    scene.start()
    with pytest.raises(CarrierError, match="older than any message lives"):
        scene.exchange(Drained())
    assert scene.supernode.trained == []


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (Head(Kind.INSTRUCTION, "south", "e", "1f", time.time_ns()), "for station 'south'"),
        (Head(Kind.REPLY, "north", "e", "1f", time.time_ns()), "is not for a station"),
        (Head(Kind.INSTRUCTION, "north", "e", "../x", time.time_ns()), "names a message wrongly"),
        (Head(Kind.INSTRUCTION, "north", "e", "1" * 300, time.time_ns()), "name too long"),
        (Head(Kind.INSTRUCTION, "north", "e", "1f", 10**400), "older than any message"),
    ],
)
def test_a_letter_that_is_not_for_the_station_is_refused(
    scene: Scene, head: Head, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene.start()
    Unsealed().close(head, None, scene.folder / "letter")
    scene.memory.at_central().send(scene.folder / "letter")
    assert wait_until(lambda: reason in caplog.text)
    assert wait_until(lambda: scene.memory.left == 0)


def test_of_two_stations_with_one_name_and_lane_one_trains_and_the_other_one_says_so(
    often: None, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.start()
    assert wait_until(lambda: scene.carrier.online("north"))
    other = Scene.second(scene)
    other.start()
    sent = [Drained() for _ in range(5)]
    for each in sent:
        assert is_reply(scene.exchange(each))
    assert wait_until(lambda: "another station has the name north" in caplog.text)
    assert wait_until(lambda: "two stations have the name north" in caplog.text)
    assert scene.supernode.trained == [each.metadata.message_id for each in sent]
    assert other.supernode.trained == []
    other.close()


def test_a_station_with_a_new_folder_goes_on_when_the_old_one_is_gone(
    often: None, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.start()
    assert is_reply(scene.exchange(Drained()))
    other = Scene.second(scene)
    other.start()
    scene.end_station()
    monkeypatch.setattr(lane, "_PRESENT_SECONDS", 0.3)

    def answered() -> bool:
        with suppress(CarrierError):
            return is_reply(scene.exchange(Drained()))
        return False

    assert wait_until(answered)
    assert len(other.supernode.trained) == 1
    assert wait_until(lambda: scene.memory.left == 0)
    other.close()


class Cut:
    """The station's end of a lane, some of whose calls fail as long as a test wants."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing: set[str] = set()
        self.failed: list[object] = []
        mailbox = scene.memory.at_station()
        for name in ("send", "done"):
            monkeypatch.setattr(mailbox, name, self._failing(name, getattr(mailbox, name)))
        monkeypatch.setattr(scene.memory, "at_station", lambda: mailbox)

    def _failing(self, name: str, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def fail(argument: Any) -> None:
            if name in self.failing:
                self.failed.append(argument)
                raise MailboxUnreachable("The lane is cut.")
            call(argument)

        return fail


def test_a_lane_that_is_cut_when_a_message_is_withdrawn_does_not_end_the_station(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(scene, monkeypatch)
    scene.start()
    exchange = working(scene, Drained())
    cut.failing.add("done")
    scene.cancelled.set()
    with pytest.raises(CarrierError):
        exchange.result()
    scene.cancelled.clear()
    assert wait_until(lambda: len({*cut.failed}) == 2)  # the instruction, and its withdrawal
    cut.failing.clear()
    scene.supernode.free.set()
    assert is_reply(scene.exchange(Drained()))


def test_a_question_is_removed_from_a_lane_that_was_cut_just_then(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(scene, monkeypatch)
    cut.failing.add("done")
    scene.start()
    assert wait_until(lambda: cut.failed)
    cut.failing.clear()
    assert wait_until(lambda: scene.memory.left == 0)


def test_a_question_is_answered_when_the_lane_is_there_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_ASK_SECONDS", (60.0, 60.0, 60.0))
    cut = Cut(scene, monkeypatch)
    cut.failing.add("send")
    scene.start()
    assert wait_until(lambda: cut.failed)
    assert not scene.carrier.online("north")
    cut.failing.clear()
    assert wait_until(lambda: scene.carrier.online("north"))


def test_a_lane_that_is_cut_after_an_app_was_asked_for_costs_no_message(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(scene, monkeypatch)
    scene.start()
    assert wait_until(lambda: scene.carrier.online("north"))
    cut.failing.add("done")
    sent = Drained()
    with scene.exchange(sent, with_fab=False) as answer:
        assert answer.header.WhichOneof("content") == "missing_objects"
    assert wait_until(lambda: len(cut.failed) > 2)
    exchange = scene.in_background(sent)
    cut.failing.clear()
    assert is_reply(exchange.result())


def test_a_refusal_is_sent_when_the_lane_is_there_again(
    often: None, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.system.retry._PAUSE_SECONDS", (0.01, 0.01))
    cut = Cut(scene, monkeypatch)
    cut.failing.add("send")
    scene.clock = LaterClock()
    scene.start()
    exchange = scene.in_background(Drained())
    assert wait_until(lambda: len(cut.failed) > 5)
    cut.failing.clear()
    with pytest.raises(CarrierError, match="older than any message lives"):
        exchange.result()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """What the next refusals find that a station writes."""
    errors = [OSError(errno.ENOSPC, "No space left on device")] * 3
    send = Resident._send

    def send_at_times(station: Resident, head: Head) -> None:
        if head.kind == Kind.REFUSAL and errors:
            raise errors.pop()
        send(station, head)

    monkeypatch.setattr(Resident, "_send", send_at_times)
    return errors


def test_a_refusal_that_a_full_disk_has_no_room_for_is_sent_later(
    scene: Scene, full: list[OSError]
) -> None:
    scene.start()
    Unsealed().close(Head(Kind.PING, "south", "e"), None, scene.folder / "letter")
    scene.memory.at_central().send(scene.folder / "letter")
    assert wait_until(lambda: not full)
    assert wait_until(lambda: scene.memory.left == 0)


def test_a_station_that_cannot_say_what_did_not_fit_says_it_later_and_listens_on(
    often: None, scene: Scene, full: list[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.start()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: Usage(free=100_000))
        with pytest.raises(CarrierError, match="does not fit"):
            scene.exchange(Drained(record_dict(weights=noise(100_000))))
    assert not full
    assert is_reply(scene.exchange(Drained()))


def test_what_the_policy_forbids_is_refused(tmp_path: Path) -> None:
    scene = Scene(tmp_path, policy=Policy(modes=frozenset({"direct"})))
    scene.start()
    code, reason = failure_in(scene.exchange(Drained()))
    assert code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "in bridge mode" in reason
    scene.close()


def test_a_runtime_that_cannot_be_started_is_an_answer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Mode) -> Callable[[int], Working]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scene, "_starts", broken)
    scene.start()
    _, reason = failure_in(scene.exchange(Drained()))
    assert "No space left" in reason


def test_without_warmth_a_runtime_ends_with_its_message(scene: Scene) -> None:
    scene.warm = False
    scene.start()
    assert is_reply(scene.exchange(Drained()))
    assert wait_until(scene.supernode.stopped.is_set)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_each_message_is_trained_once_and_answered_whatever_the_lane_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    scene = Scene(tmp_path_factory.mktemp("station"), seed)
    scene.start()
    try:
        sent = [Drained() for _ in range(3)]
        for each in sent:
            assert is_reply(scene.exchange(each))
        assert scene.supernode.trained == [each.metadata.message_id for each in sent]
    finally:
        scene.close()
