"""What a data station does with an instruction: each message is trained once at most."""

from collections.abc import Callable
from pathlib import Path

import pytest

from algorithm.runtime import NoReply
from algorithm.tests.stations import Station, failure_of, reply_of
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.errors import Incompatible
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
        assert bundle.header.cache_generation == station.job.generation()


def test_messages_follow_one_another_and_only_the_latest_reply_is_kept(station: Station) -> None:
    first, second = station.receive(Drained()), station.receive(Drained())
    assert station.answer(first)
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
        assert bundle.header.cache_generation == station.job.generation()
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


@pytest.mark.parametrize(
    "lie", [lie_about_the_fab, send_a_senseless_fab, lie_about_the_node, set_no_deadline]
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
    station.job.generation()
    sent = Drained()
    sent.header.instruction.fab_object_id = fab_id
    message = station.receive(sent, with_fab=False)
    assert station.answer(message)
    assert station.supernode.deadlines == []
    assert message.missing.exists() or failure_of(message)
