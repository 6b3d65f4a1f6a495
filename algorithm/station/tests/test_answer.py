"""What a data station does with an instruction: each message is trained once at most."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from algorithm.station.answer import Unanswered, answer
from algorithm.station.job import Message
from algorithm.station.object_store import ObjectStore
from algorithm.station.policy import Policy
from algorithm.station.runtime import NoReply, Runtime
from algorithm.tests.stations import Station, failure_of, reply_of
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle, BundleWriter
from proxy.client import Delivery, Stage
from proxy.errors import FlowerError, Incompatible
from proxy.fleet.messages import ErrorCode, object_id
from proxy.tests.helpers import Drained


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


# All goes well


def test_a_message_is_answered_by_the_clientapp(station: Station) -> None:
    sent = Drained()
    message = station.receive(sent)
    assert station.answer(message)
    (pushed,) = reply_of(message).messages_list
    assert pushed.metadata.reply_to_message_id == message.message_id
    assert station.supernode.node_id == sent.metadata.dst_node_id
    assert station.supernode.deadlines == [60.0]


def test_an_answer_names_the_stations_cache(station: Station) -> None:
    message = station.receive(Drained())
    station.answer(message)
    with Bundle(message.reply) as bundle:
        assert bundle.header.cache_generation == station.job.objects.generation()


def test_messages_follow_one_another_and_only_the_latest_reply_is_kept(station: Station) -> None:
    first, second = station.receive(Drained()), station.receive(Drained())
    assert station.answer(first)
    first.instruction.unlink()  # its courier has the reply
    assert station.answer(second)
    assert station.supernode.trained == [first.message_id, second.message_id]
    assert not first.reply.exists()
    assert second.reply.exists()


def test_a_late_repetition_does_not_remove_the_latest_reply(station: Station) -> None:
    sent = Drained()
    station.answer(station.receive(sent))
    latest = station.receive(Drained())
    station.answer(latest)
    station.answer(station.receive(sent))
    assert latest.reply.exists()


def test_what_a_killed_courier_left_does_not_remove_a_reply_that_another_waits_for(
    station: Station,
) -> None:
    left, latest = station.receive(Drained()), station.receive(Drained())
    station.answer(latest)
    station.answer(left)
    assert latest.reply.exists()


def test_that_an_answer_is_an_error_is_in_the_log_and_what_it_says_is_not(
    station: Station, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serve = station.supernode.serve

    def fail(delivery: Delivery, deadline: float) -> None:
        serve(delivery, deadline)
        assert delivery.reply is not None
        delivery.reply = replace(delivery.reply, error=fleet.Error(code=2, reason="patient 17"))

    monkeypatch.setattr(station.supernode, "serve", fail)
    message = station.receive(Drained())
    assert station.answer(message)
    assert f"message {message.message_id:.12} is answered with an error" in caplog.text
    assert "patient 17" not in caplog.text
    assert message.ending == "answered with an error"


# At most once


def test_a_message_is_noted_as_taken_before_the_clientapp_sees_it(station: Station) -> None:
    message = station.receive(Drained())
    noted: list[bool] = []
    station.supernode.look = lambda: noted.append(message.taken)
    station.answer(message)
    assert noted == [True]


def test_a_repeated_message_is_answered_with_the_reply_that_is_there(station: Station) -> None:
    sent = Drained()
    message = station.receive(sent)
    station.answer(message)
    first = message.reply.read_bytes()
    assert station.answer(station.receive(sent))
    assert message.reply.read_bytes() == first
    assert station.supernode.trained == [message.message_id]


def test_a_message_that_was_taken_but_not_answered_is_not_trained_again(station: Station) -> None:
    message = station.receive(Drained())
    message.take()
    assert station.answer(message)
    code, reason = failure_of(message)
    assert code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "does not train twice" in reason
    assert station.supernode.trained == []


def test_a_message_whose_reply_was_forgotten_is_not_trained_again(station: Station) -> None:
    sent = Drained()
    message = station.receive(sent)
    station.answer(message)
    message.instruction.unlink()  # its courier has the reply
    station.answer(station.receive(Drained()))
    assert station.answer(station.receive(sent))
    assert "does not train twice" in failure_of(message)[1]
    assert station.supernode.trained.count(message.message_id) == 1


# The app


def test_an_app_that_came_once_need_not_come_again(station: Station) -> None:
    station.answer(station.receive(Drained()))
    message = station.receive(Drained(), with_fab=False)
    assert station.answer(message)
    assert reply_of(message)


def test_an_app_that_is_not_here_is_asked_for_and_nothing_starts(station: Station) -> None:
    sent = Drained()
    message = station.receive(sent, with_fab=False)
    assert station.answer(message)
    assert not message.reply.exists()
    with Bundle(message.missing) as bundle:
        assert bundle.header.message_id == message.message_id
        assert bundle.header.cache_generation == station.job.objects.generation()
        assert list(bundle.header.missing_objects.object_ids) == [
            sent.header.instruction.fab_object_id
        ]
    assert station.supernode.deadlines == []
    assert station.job.waiting() == []


def test_a_message_that_comes_again_in_full_is_answered(station: Station) -> None:
    sent = Drained()
    message = station.receive(sent, with_fab=False)
    station.answer(message)
    station.receive(sent)
    assert station.answer(message)
    assert reply_of(message)


# Trouble


@pytest.mark.parametrize("code", [ErrorCode.NODE_UNAVAILABLE, 8])
def test_a_supernode_that_does_not_reply_fails_its_message_and_is_not_used_again(
    station: Station, code: int
) -> None:
    station.supernode.trouble = NoReply(code, "The SuperNode ended.")
    message = station.receive(Drained())
    assert not station.answer(message)
    assert failure_of(message) == (code, "The SuperNode ended.")


def test_a_message_of_another_era_fails_and_the_supernode_is_kept(station: Station) -> None:
    station.supernode.trouble = Incompatible("They do not understand each other.")
    message = station.receive(Drained())
    assert station.answer(message)
    assert failure_of(message) == (3, "They do not understand each other.")


def test_a_damaged_instruction_fails_its_message_and_not_the_supernode(station: Station) -> None:
    message = station.receive(Drained())
    message.instruction.write_bytes(message.instruction.read_bytes()[:-1])
    assert station.answer(message)
    assert failure_of(message)[0] == ErrorCode.MESSAGE_UNAVAILABLE
    assert station.supernode.deadlines == []


def test_an_instruction_for_another_message_is_refused(station: Station) -> None:
    message = station.job.message("1f")
    Drained().write(message.instruction)
    assert station.answer(message)
    assert "announced message 1f" in failure_of(message)[1]


def lie_about_the_fab(sent: Drained) -> None:
    fab = fleet.GetFabResponse(fab=fleet.Fab(content=b"another app"))
    sent.fab = fab.SerializeToString()
    sent.header.instruction.fab_object_id = object_id(sent.fab)


def send_a_senseless_fab(sent: Drained) -> None:
    sent.fab = b"\xff"
    sent.header.instruction.fab_object_id = object_id(sent.fab)


def lie_about_the_node(sent: Drained) -> None:
    sent.header.instruction.node_id = 5


def set_no_deadline(sent: Drained) -> None:
    sent.header.instruction.deadline_seconds = float("nan")


def set_a_deadline_beyond_all_clocks(sent: Drained) -> None:
    sent.header.instruction.deadline_seconds = 1e300


@pytest.mark.parametrize(
    "lie",
    [
        lie_about_the_fab,
        send_a_senseless_fab,
        lie_about_the_node,
        set_no_deadline,
        set_a_deadline_beyond_all_clocks,
    ],
)
def test_an_instruction_that_lies_is_refused_and_nothing_starts(
    station: Station, lie: Callable[[Drained], None]
) -> None:
    sent = Drained()
    lie(sent)
    message = station.receive(sent)
    assert station.answer(message)
    assert failure_of(message)[0] == ErrorCode.MESSAGE_UNAVAILABLE
    assert station.supernode.deadlines == []


@pytest.mark.parametrize("fab_id", ["", "generation", "../host.lock"])
def test_an_app_with_an_impossible_id_is_neither_found_nor_a_reason_to_break(
    station: Station, fab_id: str
) -> None:
    station.job.objects.generation()
    sent = Drained()
    sent.header.instruction.fab_object_id = fab_id
    message = station.receive(sent, with_fab=False)
    assert station.answer(message)
    assert station.supernode.deadlines == []
    assert message.missing.exists() or failure_of(message)


# Whatever goes wrong


class Unspeakable(Exception):
    """It cannot even be told."""

    def __str__(self) -> str:
        raise RecursionError


ANYTHING = [
    RecursionError("maximum recursion depth exceeded"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    OSError(28, "No space left on device"),
    MemoryError(),
    KeyError("seconds"),
    ValueError("a lone surrogate: \ud800, and an escape sequence: \x1b[2J"),
    FlowerError("Flower is not there."),
    Unspeakable(),
]


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
def test_whatever_the_runtime_raises_fails_its_message_and_only_that(
    station: Station, error: Exception
) -> None:
    station.supernode.trouble = error
    message = station.receive(Drained())
    assert not station.answer(message), "nobody knows what state it is in"
    code, reason = failure_of(message)
    assert code == ErrorCode.NODE_UNAVAILABLE
    assert reason.isprintable()
    station.supernode.trouble = None
    following = station.receive(Drained())
    assert station.answer(following)
    assert reply_of(following)


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
def test_a_runtime_that_cannot_be_started_fails_the_message(
    station: Station, error: Exception
) -> None:
    def start(node_id: int) -> Runtime:
        raise error

    message = station.receive(Drained())
    answer(station.job, message, start, Policy())
    assert failure_of(message)[0] == ErrorCode.NODE_UNAVAILABLE
    assert not message.taken


def test_the_reason_is_one_printable_line_of_bounded_length(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    station.supernode.trouble = NoReply(4, "first\n\x1b]0;second\x07" + 100_000 * "x")
    message = station.receive(Drained())
    station.answer(message)
    reason = failure_of(message)[1]
    assert reason.isprintable()
    assert reason.startswith("first")
    assert len(reason) < 2500
    assert all(len(line) < 2500 and line.isprintable() for line in caplog.messages)


def test_the_end_of_the_station_is_no_failure(station: Station) -> None:
    def end() -> None:
        raise SystemExit(143)

    station.supernode.look = end
    message = station.receive(Drained())
    with pytest.raises(SystemExit):
        station.answer(message)
    assert not message.answered()


def test_a_reply_that_is_complete_is_the_answer_whatever_goes_wrong_later(
    station: Station,
) -> None:
    station.supernode.late_trouble = KeyError("modules")
    message = station.receive(Drained())
    assert not station.answer(message)
    assert reply_of(message)


def test_on_a_full_disk_a_failure_has_the_instructions_room(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = station.receive(Drained())

    class NoRoom(BundleWriter):
        def close(self, seconds: Mapping[str, float] | None = None) -> None:
            if message.instruction.exists():
                raise OSError(28, "No space left on device")
            super().close(seconds)

    monkeypatch.setattr("algorithm.station.answer.BundleWriter", NoRoom)
    monkeypatch.setattr("proxy.client.BundleWriter", NoRoom)
    station.answer(message)
    assert "No space left on device" in failure_of(message)[1]
    assert sorted(path.name for path in message.folder.iterdir()) == ["error", "reply.bundle"]


def test_a_message_that_cannot_be_answered_at_all_does_not_wait_for_ever(
    station: Station, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    message = station.receive(Drained())
    monkeypatch.setattr("proxy.system.durable.publish", no_room)
    with pytest.raises(Unanswered, match="No space left on device"):
        station.answer(message)
    assert not message.answered()
    assert station.job.waiting() == []
    assert "No space left on device" in caplog.text


# What a crash or a power cut leaves


def test_an_empty_reply_is_not_delivered_but_lost(station: Station) -> None:
    sent = Drained()
    message = station.receive(sent)
    station.answer(message)
    message.reply.write_bytes(b"")
    station.receive(sent)
    assert [each.message_id for each in station.job.waiting()] == [message.message_id]
    assert station.answer(message)
    assert "does not train twice" in failure_of(message)[1]


def test_a_reply_that_was_complete_when_the_host_ended_is_let_go_by_the_next(
    station: Station,
) -> None:
    message = station.receive(Drained())
    station.answer(message)
    message.reply.rename(message.complete)
    assert station.answer(message)
    assert reply_of(message)
    assert station.supernode.trained == [message.message_id]


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_reply_that_was_torn_when_the_host_ended_is_lost(station: Station, left: int) -> None:
    message = station.receive(Drained())
    station.answer(message)
    message.complete.write_bytes(message.reply.read_bytes()[:left])
    message.reply.unlink()
    assert station.answer(message)
    assert "does not train twice" in failure_of(message)[1]


def test_half_an_app_in_the_cache_is_asked_for_again(station: Station) -> None:
    sent = Drained()
    station.answer(station.receive(sent))
    fab_id = sent.header.instruction.fab_object_id
    (station.job.folder / "cache" / fab_id).write_bytes(sent.fab[: len(sent.fab) // 2])
    following = Drained()
    message = station.receive(following, with_fab=False)
    station.answer(message)
    assert message.missing.exists()
    station.receive(following)
    assert station.answer(message)
    assert reply_of(message)


def test_an_app_that_cannot_be_kept_costs_no_message(station: Station) -> None:
    station.job.objects = ObjectStore(station.job.folder / "small", max_bytes=1)
    sent = Drained()
    message = station.receive(sent)
    assert station.answer(message)
    assert reply_of(message)
    assert station.job.objects.missing([sent.header.instruction.fab_object_id])


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders that are on the disk for sure, in their order."""
    paths: list[Path] = []

    def sync(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").resolve())

    monkeypatch.setattr(os, "fsync", sync)
    return paths


def test_that_a_message_was_taken_is_on_the_disk_before_the_clientapp_has_it(
    station: Station, synced: list[Path]
) -> None:
    message = station.receive(Drained())
    at_the_clientapp: list[Path] = []
    station.supernode.look = lambda: at_the_clientapp.extend(synced)
    station.answer(message)
    assert station.job.folder / "taken" in at_the_clientapp


def test_a_reply_is_on_the_disk_before_it_has_its_name(
    station: Station, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = station.receive(Drained())
    named: list[list[Path]] = []
    replace = Path.replace

    def renamed(path: Path, target: Path) -> Path:
        if target == message.reply:
            named.append(list(synced))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", renamed)
    station.answer(message)
    (before,) = named
    assert before[-1] == message.complete
    assert synced[-1] == message.folder


# Letting go


def test_a_reply_leaves_only_when_the_runtime_is_done_with_it(station: Station) -> None:
    seen: list[bool] = []
    message = station.receive(Drained())
    serve = station.supernode.serve

    def watched(delivery: Delivery, deadline: float) -> None:
        serve(delivery, deadline)
        seen.extend([delivery.stage == Stage.ANSWERED, message.reply.exists()])

    station.supernode.serve = watched  # type: ignore[method-assign]
    station.answer(message)
    assert seen == [True, False]
    assert message.reply.exists()


def test_replies_and_failures_are_let_go_in_one_place(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []

    def judge(message: Message) -> None:
        assert not message.answered()
        judged.append(message.message_id)

    monkeypatch.setattr("algorithm.station.answer._release", judge)
    replied, failed = station.receive(Drained()), station.job.message("1f")
    Drained().write(failed.instruction)
    for message in (replied, failed):
        station.answer(message)
        assert not message.answered()
    assert judged == [replied.message_id, "1f"]


# Modes


def test_a_forbidden_mode_is_refused_and_nothing_starts(station: Station) -> None:
    policy = Policy(modes=frozenset(["bridge"]))
    message = station.receive(Drained())
    assert answer(station.job, message, policy.permitting("direct", station.supernode.at), policy)
    code, reason = failure_of(message)
    assert code == ErrorCode.MESSAGE_UNAVAILABLE
    assert "direct mode" in reason
    assert "allows 'bridge'" in reason
    assert station.supernode.node_id == 0
    assert not message.taken
