"""A courier brings one bundle to the job's host and its answer back."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from algorithm.functions import courier
from algorithm.station.job import Job, Message
from proxy.errors import CarrierError, HostGone, HostIdle
from proxy.tests.helpers import wait_until
from proxy.vantage6 import payload
from proxy.vantage6.container import Container

SECONDS = 60.0


class Errand:
    """A courier's container, with a bundle for message 1f."""

    def __init__(self, folder: Path, shared_folder: Path) -> None:
        folder.mkdir()
        self.container = Container(folder / "input", folder / "output", shared_folder)
        self.job = Job(shared_folder)
        self.message = self.job.message("1f")
        (folder / "bundle").write_bytes(b"the instruction")
        self._folder = folder

    def run(self, timeout: float = SECONDS) -> bytes:
        """Be the courier; returns the bundle that it leaves as the container's result."""
        arguments = {"message_id": "1f", "timeout": timeout, "host": "a1"}
        payload.write(self.container.input_file, {"kwargs": arguments}, self._folder / "bundle")
        with payload.read(self.container.input_file) as task:
            courier.main(self.container, task)
        with payload.read(self.container.output_file) as result:
            result.save_bundle(self._folder / "result")
        return (self._folder / "result").read_bytes()


@pytest.fixture
def errand(tmp_path: Path) -> Errand:
    return Errand(tmp_path / "courier", tmp_path / "job")


Host = Callable[[Callable[[Message], object]], None]


@pytest.fixture
def host(errand: Errand) -> Iterator[Host]:
    """Have a host that does something with the message when it comes, and then ends."""
    with ThreadPoolExecutor(1) as pool:
        hosting, over = threading.Event(), threading.Event()

        def be_host(deal_with: Callable[[Message], object]) -> None:
            with errand.job.hosting():
                hosting.set()
                assert wait_until(lambda: errand.job.waiting() or over.is_set())
                for message in errand.job.waiting():
                    deal_with(message)

        futures = []

        def start(deal_with: Callable[[Message], object]) -> None:
            futures.append(pool.submit(be_host, deal_with))
            assert hosting.wait(SECONDS)

        yield start
        over.set()
        for future in futures:
            future.result(SECONDS)


def appear(path: Path, content: bytes) -> None:
    """Let a file appear whole, as all files do there."""
    path.with_suffix(".part").write_bytes(content)
    path.with_suffix(".part").replace(path)


def test_a_bundle_comes_to_the_host_and_its_answer_to_the_result(
    errand: Errand, host: Host
) -> None:
    host(lambda message: appear(message.reply, b"to " + message.instruction.read_bytes()))
    assert errand.run() == b"to the instruction"


def test_an_answered_message_is_answered_at_once_and_without_a_host(errand: Errand) -> None:
    errand.message.reply.write_bytes(b"the reply")
    assert errand.run() == b"the reply"
    assert errand.job.waiting() == []


def test_the_reply_stays_for_a_repetition_and_the_instruction_does_not(
    errand: Errand, host: Host
) -> None:
    host(lambda message: appear(message.reply, b"the reply"))
    assert errand.run() == errand.run() == b"the reply"
    assert not errand.message.instruction.exists()


def test_a_reply_is_not_taken_away_before_its_courier_has_it(
    errand: Errand, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = payload.write_answer

    def write_late(*arguments: Any) -> None:
        errand.job.forget_answered_but(errand.job.message("another"))
        write(*arguments)

    monkeypatch.setattr(payload, "write_answer", write_late)
    host(lambda message: appear(message.reply, b"the reply"))
    assert errand.run() == b"the reply"


def test_two_couriers_with_the_same_message_do_not_damage_it(
    errand: Errand, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = payload.Payload.save_bundle

    def save_slowly(_: payload.Payload, path: Path) -> None:
        monkeypatch.setattr(payload.Payload, "save_bundle", save)
        with path.open("wb") as file:
            file.write(b"the ")
            assert errand.run() == b"to the instruction"  # the other one comes, and is done
            file.write(b"instruction")

    monkeypatch.setattr(payload.Payload, "save_bundle", save_slowly)
    host(lambda message: appear(message.reply, b"to " + message.instruction.read_bytes()))
    assert errand.run() == b"to the instruction"


def test_a_courier_that_gives_up_leaves_what_another_one_brought(
    errand: Errand, host: Host, tmp_path: Path
) -> None:
    """As when a central was killed, and its successor brings the message again."""
    given_up = threading.Event()

    def answer_late(message: Message) -> None:
        assert given_up.wait(SECONDS)
        appear(message.reply, b"to " + message.instruction.read_bytes())

    host(answer_late)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(errand.run)
        assert wait_until(errand.message.instruction.exists)
        with pytest.raises(CarrierError, match="in time"):
            Errand(tmp_path / "left-behind", tmp_path / "job").run(timeout=0.0)
        given_up.set()
        assert second.result(SECONDS) == b"to the instruction"
    assert not errand.message.instruction.exists()


def test_what_the_host_lacks_is_said_once(errand: Errand, host: Host) -> None:
    def ask_for_the_app(message: Message) -> None:
        message.instruction.unlink()
        appear(message.missing, b"lacking")

    host(ask_for_the_app)
    assert errand.run() == b"lacking"
    assert not errand.message.missing.exists()


def test_what_was_lacking_before_is_not_the_answer_to_what_came_since(
    errand: Errand, host: Host
) -> None:
    # An earlier courier was ended before it could tell.
    errand.message.missing.write_bytes(b"lacking")
    host(lambda message: appear(message.reply, b"the reply"))
    assert errand.run() == b"the reply"


def test_a_host_that_does_not_answer_in_time_is_an_error_and_loses_the_message(
    errand: Errand,
) -> None:
    with pytest.raises(CarrierError, match="in time"):
        errand.run(timeout=0.0)
    assert errand.job.waiting() == []


def test_a_host_that_ends_without_an_answer_is_an_error(
    errand: Errand, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = threading.Event()

    class Watched(Job):
        def has_host(self) -> bool:
            answer = super().has_host()
            noticed.set()
            return answer

    host(lambda _: noticed.wait(SECONDS))
    monkeypatch.setattr(courier, "Job", Watched)
    with pytest.raises(CarrierError, match="ended without an answer"):
        errand.run()


def test_a_host_that_was_idle_is_not_waited_for(errand: Errand) -> None:
    errand.job.note_idle("a1")
    with pytest.raises(HostIdle, match="no message came for long"):
        errand.run()
    assert errand.job.waiting() == []


def test_the_end_of_an_earlier_host_says_nothing_of_the_one_that_starts(
    errand: Errand, host: Host
) -> None:
    errand.job.note_idle("a0")
    host(lambda message: appear(message.reply, b"the reply"))
    assert errand.run() == b"the reply"


def test_a_message_that_was_begun_before_its_host_was_idle_is_lost(errand: Errand) -> None:
    errand.message.take()
    errand.job.note_idle("a1")
    with pytest.raises(HostGone) as caught:
        errand.run()
    assert caught.type is HostGone


def test_a_bundle_that_is_cut_off_does_not_reach_the_host(errand: Errand) -> None:
    arguments = '{"kwargs": {"message_id": "1f", "timeout": 5.0}, "bundle": "eHh4'
    errand.container.input_file.write_text(arguments)
    with (
        payload.read(errand.container.input_file) as task,
        pytest.raises(CarrierError, match="cut off"),
    ):
        courier.main(errand.container, task)
    assert errand.job.waiting() == []


def test_its_log_says_whether_the_answer_is_an_error(
    errand: Errand, capsys: pytest.CaptureFixture[str]
) -> None:
    errand.message.reply.write_bytes(b"the reply")
    errand.run()
    errand.container.output_file.unlink()
    errand.message.note_error()
    errand.run()
    assert capsys.readouterr().out.splitlines() == [
        "message 1f is answered",
        "message 1f is answered with an error",
    ]
