"""A ClientApp's process answers messages, or it is said why it did not. Its Context outlives it."""

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.station.answer import answer
from algorithm.station.clientapp import ClientApp
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy
from algorithm.station.runtime import NoReply
from algorithm.tests.fake_flower import INTERPRETER, make_flower
from algorithm.tests.fake_flwr import NAMES, THREAD_VARIABLE, text_of
from algorithm.tests.stations import failure_of, reply_of
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.client import Delivery
from proxy.errors import FleetError, Incompatible
from proxy.fleet.messages import ErrorCode
from proxy.fleet.releases import SCHEMAS, Layout, Schema
from proxy.testing import FakeSuperLink, record_dict
from proxy.tests.helpers import Drained, pid_in, pushed_in, runs

SECONDS = 30.0
FORK = get_context("fork")


class Station:
    """A ClientApp, and the messages for it: all of the same run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flower = Flower(make_flower(folder / "flower"))
        (folder / "flower" / "bin" / "python").write_text(INTERPRETER)
        self.clientapp = self.start()
        self.taken: list[str] = []
        self.lives: list[str] = []
        self._sent = 0

    def start(self) -> ClientApp:
        """Start the process."""
        return ClientApp(
            self.flower,
            node_id=1000,
            node_config="partition-id=0",
            folder=self.folder,
            contexts=self.folder / "contexts",
            log_file=self.folder / "clientapp.log",
            warm=True,
        )

    def ask(
        self, text: str, deadline: float = SECONDS, schema: Schema = SCHEMAS[0]
    ) -> fleet.Message:
        """Have the ClientApp answer a message; returns the reply."""
        self._sent += 1
        folder = self.folder / str(self._sent)
        folder.mkdir()
        content = record_dict(text=text.encode())
        sent = Drained(content, FakeSuperLink(schema=schema))
        taken = sent.metadata.message_id
        with Bundle(sent.write(folder / "instruction.bundle")) as bundle:
            reply = folder / "reply.bundle"
            delivery = Delivery(bundle, sent.fab, reply, "", lambda: self.taken.append(taken))
            self.clientapp.serve(delivery, deadline)
        with Bundle(reply) as bundle:
            self.lives.append(bundle.header.reply.supernode_life)
            pushed = fleet.PushMessagesRequest.FromString(pushed_in(bundle))
        assert pushed.messages_list[0].metadata.reply_to_message_id == taken
        return pushed.messages_list[0]

    def no_reply(self, text: str, deadline: float = SECONDS) -> NoReply:
        """Ask what will not be answered."""
        with pytest.raises(NoReply) as caught:
            self.ask(text, deadline)
        return caught.value

    def replace(self) -> None:
        """Start another process in place of this one."""
        self.clientapp.stop()
        self.clientapp = self.start()

    # As a host, which has the job's folder

    @property
    def job(self) -> Job:
        """The job's folder."""
        return Job(self.folder)

    def contexts(self) -> set[str]:
        """Return the names of the Contexts that are kept."""
        return {path.name for path in self.job.contexts.iterdir()} - {"life"}

    def receive(self, text: str) -> Message:
        """Put an instruction where a courier would."""
        sent = Drained(record_dict(text=text.encode()), FakeSuperLink(schema=SCHEMAS[0]))
        message = self.job.message(sent.metadata.message_id)
        sent.write(message.instruction)
        return message

    def answer(self, message: Message) -> None:
        """Have a message answered, with a reply or a failure."""
        answer(self.job, message, lambda _: self.clientapp, Policy())

    def answered(self, text: str) -> str:
        """Have a new message answered; returns what the reply says."""
        message = self.receive(text)
        self.answer(message)
        return text_of(reply_of(message).messages_list[0])

    def killed(self, message: Message, before: str) -> None:
        """Kill the host, while it answers a message, before a file gets a name."""
        self.clientapp.stop()
        host = FORK.Process(target=self._answer_until, args=(message, before))
        host.start()
        host.join(SECONDS)
        assert host.exitcode == -signal.SIGKILL
        self.clientapp = self.start()

    def _answer_until(self, message: Message, before: str) -> None:
        replace = Path.replace

        def renamed(path: Path, target: Path) -> Path:
            if target.name == before:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(path, target)

        Path.replace = renamed  # type: ignore[assignment, method-assign]
        self.clientapp = self.start()
        self.answer(message)


Start = Callable[[], Station]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a station whose Flower is a fake."""
    monkeypatch.setattr("algorithm.station.clientapp.names_of", lambda _: NAMES)
    started: list[Station] = []

    def start() -> Station:
        started.append(Station(tmp_path))
        return started[-1]

    yield start
    for station in started:
        station.clientapp.stop()


def test_a_message_is_answered_and_was_noted_before(start: Start) -> None:
    station = start()
    assert text_of(station.ask("repeat a 3")) == "aaa"
    assert len(station.taken) == 1


def test_a_deadline_beyond_all_bounds_is_like_a_long_one(start: Start) -> None:
    assert text_of(start().ask("repeat a 3", deadline=1e300)) == "aaa"


def test_a_clientapp_finds_the_stations_node_config(start: Start) -> None:
    assert text_of(start().ask("config")) == "{'partition-id': '0'}"


@pytest.mark.parametrize(
    "schema",
    [schema for schema in SCHEMAS if schema.layout != Layout.INLINE],
    ids=lambda schema: schema.releases,
)
def test_a_message_that_came_in_objects_is_refused_before_it_is_taken(
    start: Start, schema: Schema
) -> None:
    station = start()
    with pytest.raises(Incompatible, match="in direct mode it comes whole"):
        station.ask("count", schema=schema)
    assert station.taken == []
    assert text_of(station.ask("count")) == "1"


def test_a_large_reply_arrives(start: Start) -> None:
    assert text_of(start().ask("repeat abc 1000000")) == "abc" * 1_000_000


def test_every_message_has_a_process_of_its_own(start: Start) -> None:
    station = start()
    assert text_of(station.ask("pid")) != text_of(station.ask("pid"))


def test_the_context_is_kept_from_message_to_message_and_from_process_to_process(
    start: Start,
) -> None:
    station = start()
    assert [text_of(station.ask("count")) for _ in range(2)] == ["1", "2"]
    station.replace()
    assert text_of(station.ask("count")) == "3"


def test_a_context_that_nothing_changed_is_not_written_anew_but_in_use(start: Start) -> None:
    station = start()
    station.ask("count")
    (context,) = (path for path in (station.folder / "contexts").iterdir() if path.stem != "life")
    os.utime(context, (0, 0))
    written = context.stat().st_ino
    assert text_of(station.ask("keep")) == "1"
    assert context.stat().st_ino == written
    assert context.stat().st_mtime > 0
    station.ask("count")
    assert context.stat().st_ino != written


def test_an_exception_is_an_error_in_flowers_words_and_what_was_kept_before_it_is_kept(
    start: Start,
) -> None:
    station = start()
    error = station.ask("raise nothing").error
    assert (error.code, error.reason) == (2, "<class 'ValueError'>:<'nothing'>")
    assert text_of(station.ask("count")) == "2"


def test_a_message_that_is_no_reply_is_said_and_the_process_goes_on(start: Start) -> None:
    station = start()
    error = station.no_reply("answer 5")
    assert error.error_code == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert "is no reply to the one it got" in error.message
    assert text_of(station.ask("pid"))


@pytest.mark.parametrize(("does", "code"), [("exit 0", 0), ("exit 3", 3), ("kill", 137)])
def test_a_process_that_ends_without_a_reply_is_said_and_its_log_stays_here(
    start: Start, does: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    station = start()
    station.ask("count")
    error = station.no_reply(does)
    assert error.error_code == ErrorCode.CLIENT_APP_CRASHED
    assert f"exit code {code} and without a reply" in error.message
    assert "clientapp.log" in caplog.text
    station.replace()
    # What it changed in its last message is lost with it, as in Flower.
    assert text_of(station.ask("count")) == "2"


def test_a_clientapp_that_does_not_reply_is_said_at_the_deadline_and_ended(
    start: Start, tmp_path: Path
) -> None:
    station = start()
    station.ask("count")  # the process is there
    error = station.no_reply(f"hang {tmp_path}/pid", deadline=3.0)
    assert error.error_code == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
    assert "within the deadline of 3.0 s" in error.message
    station.clientapp.stop()
    assert not runs(pid_in(tmp_path / "pid"))


def test_what_one_clientapp_imported_the_next_one_finds_imported(start: Start) -> None:
    """The variables that were set then are set again for the import only."""
    station = start()
    said = [text_of(station.ask("import colorsys")) for _ in range(2)]
    assert said == ["False None", "True None"]


@pytest.mark.parametrize("how", ["lazy", "environ", "fork"])
def test_whatever_a_clientapp_does_to_its_process_its_reply_arrives_and_so_does_the_next(
    start: Start, how: str
) -> None:
    station = start()
    for _ in range(2):
        assert text_of(station.ask(f"disturb {how}")) == how
    assert text_of(station.ask("count")) == "3"


def test_where_a_library_keeps_a_thread_no_process_is_forked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(THREAD_VARIABLE, "1")
    station = start()
    assert text_of(station.ask("pid")) != text_of(station.ask("pid"))
    assert text_of(station.ask("count")) == "3"
    assert "exit code 3" in station.no_reply("exit 3").message


def test_a_flower_that_lacks_something_is_said(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lacking = {**NAMES, "Context": "algorithm.tests.fake_flwr:NoSuchName"}
    monkeypatch.setattr("algorithm.station.clientapp.names_of", lambda _: lacking)
    assert "exit code 1" in start().no_reply("count").message
    assert "NoSuchName" in (tmp_path / "clientapp.log").read_text()


class FullDisk(list[str]):
    """Where it cannot be noted that a message is taken."""

    def append(self, _: str) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_said_and_the_clientapp_does_not_get_the_message(start: Start) -> None:
    station = start()
    station.taken = FullDisk()
    with pytest.raises(OSError, match="No space left on device"):
        station.ask("count")
    station.taken = []
    station.replace()
    assert text_of(station.ask("count")) == "1"


# A Context counts together with its reply, or not at all


def test_a_context_is_kept_once_its_message_is_answered(start: Start) -> None:
    station = start()
    assert [station.answered("count") for _ in range(2)] == ["1", "2"]
    assert len(station.contexts()) == 1


@pytest.mark.parametrize(
    ("before", "counted"),
    [("reply.complete", "2"), ("the Context", "3"), ("reply.bundle", "3")],
)
def test_after_a_kill_a_new_message_finds_the_context_of_the_last_complete_reply(
    start: Start, before: str, counted: str
) -> None:
    station = start()
    station.answered("count")
    (context,) = station.contexts()
    station.killed(station.receive("count"), context if before == "the Context" else before)
    assert station.answered("count") == counted
    assert station.contexts() == {context}


@pytest.mark.parametrize("before", ["the Context", "reply.bundle"])
def test_after_a_kill_a_complete_reply_is_given_and_its_context_counts_once(
    start: Start, before: str
) -> None:
    station = start()
    station.answered("count")
    (context,) = station.contexts()
    message = station.receive("count")
    station.killed(message, context if before == "the Context" else before)
    station.answer(message)
    assert text_of(reply_of(message).messages_list[0]) == "2"
    assert station.answered("count") == "3"


def test_after_a_kill_a_lost_reply_is_said_and_the_same_content_is_trained_as_for_the_first_time(
    start: Start,
) -> None:
    station = start()
    station.answered("count")
    message = station.receive("count")
    station.killed(message, "reply.complete")
    station.answer(message)
    assert "does not train twice" in failure_of(message)[1]
    assert station.answered("count") == "2"


@pytest.mark.parametrize(
    "trouble",
    [TimeoutError(), EOFError(), OSError(28, "No space left on device"), FleetError("refused")],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_reply_that_comes_to_nothing_leaves_the_context_as_it_was(
    start: Start, trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(*_: object) -> None:
        raise trouble

    station = start()
    station.answered("count")
    kept = station.contexts()
    message = station.receive("count")
    with monkeypatch.context() as patch:
        patch.setattr(ClientApp, "_collect", collect)
        station.answer(message)
    assert failure_of(message)[0] in (4, 8)
    station.replace()
    assert station.answered("count") == "2"
    assert station.contexts() == kept


# What a power cut leaves


@pytest.mark.parametrize("left", [b"", b"\0" * 40, None], ids=["empty", "zeros", "cut off"])
def test_a_damaged_context_begins_anew_and_the_replies_say_so(
    start: Start, left: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    station = start()
    assert [text_of(station.ask("count")) for _ in range(2)] == ["1", "2"]
    (context,) = (path for path in (station.folder / "contexts").iterdir() if path.stem != "life")
    context.write_bytes(context.read_bytes()[:-1] if left is None else left)
    assert text_of(station.ask("count")) == "1"
    assert "its state is a new one" in caplog.text
    assert text_of(station.ask("count")) == "2"
    station.replace()
    station.ask("count")
    before, after = station.lives[:2], station.lives[2:]
    assert len({*before}) == len({*after}) == 1
    assert before[0] != after[0]


def test_lost_state_is_said_also_where_the_clientapp_raises_an_exception(start: Start) -> None:
    station = start()
    station.ask("count")
    for path in (station.folder / "contexts").iterdir():
        path.write_bytes(b"")
    assert station.ask("raise nothing").error.code == 2
    assert station.lives[0] != station.lives[1]


def test_another_process_is_no_reason_to_say_that_state_was_lost(start: Start) -> None:
    station = start()
    station.ask("count")
    station.replace()
    station.ask("count")
    assert station.lives[0] == station.lives[1] != ""
