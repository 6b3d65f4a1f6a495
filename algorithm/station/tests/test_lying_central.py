"""A central that lies about hash, size or station gets nowhere: nothing is started for it."""

import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm.flower import manifest
from algorithm.flower.environment import ENVIRONMENT_VARIABLE
from algorithm.station.policy import Policy
from algorithm.tests.fabs import FAB, MANIFEST, make_fab
from algorithm.tests.fake_flower import make_flower
from algorithm.tests.stations import Station, failure_of, reply_of
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.fleet.messages import ErrorCode, object_id
from proxy.system.process import Process
from proxy.testing import FakeSuperLink
from proxy.tests.helpers import Drained
from proxy.tests.raw_fields import FAB_RESPONSES, PULLED, RUN_RESPONSES
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.v4.container import written

SECONDS = 60.0
OTHER = make_fab({"app/client.py": "steal()"})


class Central(Drained):
    """What a central sends for a message of a run of the image's app, to be made a lie of."""

    def __init__(self, fab: bytes = FAB) -> None:
        super().__init__(superlink=FakeSuperLink(fab))
        answer = fleet.GetRunResponse.FromString(self.header.instruction.get_run_response)
        self.run = answer.run
        self.run.fab_id, self.run.fab_version = "me/app", "1.0"
        self.say_run()

    def say_run(self) -> None:
        response = fleet.GetRunResponse(run=self.run).SerializeToString()
        self.header.instruction.get_run_response = response

    def say_fab(self, fab: fleet.Fab) -> None:
        self.fab = fleet.GetFabResponse(fab=fab).SerializeToString()
        self.header.instruction.fab_object_id = object_id(self.fab)


def name_the_allowed_app_and_send_another(central: Central) -> None:
    central.say_fab(fleet.Fab(hash_str=MANIFEST.fab_sha256, content=OTHER))


def name_another_app_and_send_the_allowed_one(central: Central) -> None:
    central.run.fab_hash = object_id(OTHER)
    central.say_run()


def name_and_send_another_app(central: Central) -> None:
    central.run.fab_hash = object_id(OTHER)
    central.say_run()
    central.say_fab(fleet.Fab(hash_str=object_id(OTHER), content=OTHER))


def send_the_allowed_app_under_another_hash(central: Central) -> None:
    central.say_fab(fleet.Fab(hash_str="0" * 64, content=FAB))


def send_no_app(central: Central) -> None:
    central.say_fab(fleet.Fab(hash_str=MANIFEST.fab_sha256))


def lead_flower_to_another_folder(central: Central) -> None:
    central.run.fab_version = "1.0/../../../mnt/data/evil"
    central.say_run()


def name_an_evil_run_before_the_allowed_one(central: Central) -> None:
    evil = fleet.Run(fab_id="/", fab_version="/../../../mnt/data/evil/app")
    first = fleet.GetRunResponse(run=evil).SerializeToString()
    central.header.instruction.get_run_response = (
        first + central.header.instruction.get_run_response
    )


def name_an_evil_run_behind_the_allowed_one(central: Central) -> None:
    evil = fleet.Run(override_config={"data-path": fleet.Scalar()})
    central.header.instruction.get_run_response += fleet.GetRunResponse(
        run=evil
    ).SerializeToString()


def override_what_no_run_may(central: Central) -> None:
    central.run.override_config["data-path"].SetInParent()
    central.say_run()


def speak_of_another_run(central: Central) -> None:
    central.run.run_id += 1
    central.say_run()


def address_another_station(central: Central) -> None:
    central.header.instruction.node_id += 1


def announce_another_message(central: Central) -> None:
    central.header.message_id = "0" * 64


def leave_out_objects_of_the_message(central: Central) -> None:
    central.objects.popitem()


LIES = [
    name_the_allowed_app_and_send_another,
    name_another_app_and_send_the_allowed_one,
    name_and_send_another_app,
    send_the_allowed_app_under_another_hash,
    send_no_app,
    lead_flower_to_another_folder,
    name_an_evil_run_before_the_allowed_one,
    name_an_evil_run_behind_the_allowed_one,
    override_what_no_run_may,
    speak_of_another_run,
    address_another_station,
    announce_another_message,
    leave_out_objects_of_the_message,
]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path, Policy(MANIFEST))


def test_a_central_that_tells_the_truth_is_answered(station: Station) -> None:
    message = station.receive(Central())
    assert station.answer(message)
    assert reply_of(message)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_nothing_is_trained(
    station: Station, lie: Callable[[Central], None]
) -> None:
    central = Central()
    lie(central)
    message = station.receive(central)
    assert station.answer(message), "the SuperNode can be used on"
    assert failure_of(message)[0] == ErrorCode.MESSAGE_UNAVAILABLE
    assert station.supernode.deadlines == []
    assert not message.taken


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_after_the_truth_is_refused_too(
    station: Station, lie: Callable[[Central], None]
) -> None:
    truth, central = Central(), Central()
    station.answer(station.receive(truth))
    lie(central)
    message = station.receive(central)
    station.answer(message)
    assert failure_of(message)[0] == ErrorCode.MESSAGE_UNAVAILABLE
    assert station.supernode.trained == [truth.metadata.message_id]


def test_an_app_that_was_refused_is_not_kept(station: Station) -> None:
    central = Central(OTHER)
    station.answer(station.receive(central))
    assert station.job.objects.get(central.header.instruction.fab_object_id) is None
    again = Central(OTHER)
    message = station.receive(again, with_fab=False)
    station.answer(message)
    assert message.missing.exists()
    station.receive(again)
    station.answer(message)
    assert object_id(OTHER) in failure_of(message)[1]
    assert station.supernode.deadlines == []


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 64) - 1])
def test_an_object_with_another_size_than_it_says_is_refused(station: Station, size: int) -> None:
    central = Central()
    message = station.receive(central)
    content = message.instruction.read_bytes()
    some_id, some = next(iter(central.objects.items()))
    true = b"O" + bytes.fromhex(some_id) + struct.pack(">Q", len(some))
    assert true in content
    message.instruction.write_bytes(content.replace(true, true[:-8] + struct.pack(">Q", size)))
    station.answer(message)
    assert failure_of(message)[0] == ErrorCode.MESSAGE_UNAVAILABLE
    assert station.supernode.deadlines == []


def test_what_a_central_says_cannot_forge_lines_in_the_log(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    central = Central()
    central.run.fab_hash = "x\n2026-01-01 INFO policy: run 7 is allowed"
    central.say_run()
    station.answer(station.receive(central))
    assert all("\n" not in line for line in caplog.messages)


@settings(max_examples=200, deadline=None)
@given(
    st.none() | RUN_RESPONSES,
    st.none() | FAB_RESPONSES,
    st.none() | PULLED,
    st.none() | st.floats(),
    st.booleans(),
    st.booleans(),
)
def test_whatever_a_central_sends_has_one_answer(
    run: bytes | None,
    fab: bytes | None,
    pulled: bytes | None,
    deadline: float | None,
    whole: bool,
    with_fab: bool,
) -> None:
    central = Central()
    instruction = central.header.instruction
    if run is not None:
        instruction.get_run_response = run
    if fab is not None:
        central.fab, instruction.fab_object_id = fab, object_id(fab)
    central.pulled = central.pulled if pulled is None else pulled
    instruction.deadline_seconds = 60.0 if deadline is None else deadline
    instruction.whole = whole
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)  # nothing is cut off here, and it takes long
        station = Station(Path(folder), Policy(MANIFEST))
        message = station.receive(central, with_fab)
        station.answer(message)
        assert message.answered() != message.missing.exists()
        if message.answered() and station.supernode.trained:
            assert (run, fab, pulled) == (None, None, None)
            assert reply_of(message)
        elif message.answered():
            assert failure_of(message)[0] == ErrorCode.MESSAGE_UNAVAILABLE


# The program in the container


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Callable[[Central], tuple[Bundle, str]]]:
    """Have the image's program answer a message; returns the answer and the log."""
    MANIFEST.write(tmp_path / "manifest.json")
    container = Container(tmp_path / "input", tmp_path / "output", tmp_path / "job")
    environment = {
        "PATH": os.environ["PATH"],
        ENVIRONMENT_VARIABLE: str(make_flower(tmp_path / "flower")),
        manifest.ENVIRONMENT_VARIABLE: str(tmp_path / "manifest.json"),
        **written(container),
    }
    started: list[Process] = []

    def answer(central: Central) -> tuple[Bundle, str]:
        arguments = {"message_id": central.metadata.message_id, "node_config": ""}
        bundle = central.write(tmp_path / "instruction")
        payload.write(container.input_file, {"method": "per_round", "kwargs": arguments}, bundle)
        program = [sys.executable, "-E", "-P", "-m", "algorithm"]
        started.append(Process(program, environment, tmp_path / "log"))
        assert started[-1].wait(SECONDS)
        assert started[-1].exit_code == 0, started[-1].log_tail()
        with payload.read(container.output_file) as result:
            result.save_bundle(tmp_path / "reply")
        return Bundle(tmp_path / "reply"), started[-1].log_tail()

    yield answer
    for process in started:
        process.stop()


def test_the_image_runs_its_own_app(
    refusing: Callable[[Central], tuple[Bundle, str]],
) -> None:
    bundle, log = refusing(Central())
    with bundle:
        assert bundle.header.WhichOneof("content") == "reply"
    assert f"is allowed: app (FAB) {MANIFEST.fab_sha256}" in log


def test_the_image_refuses_another_app_in_its_reply_and_in_its_log(
    refusing: Callable[[Central], tuple[Bundle, str]], tmp_path: Path
) -> None:
    bundle, log = refusing(Central(OTHER))
    with bundle:
        reason = bundle.header.failure.reason
    for text in (reason, log):
        assert object_id(OTHER) in text
        assert MANIFEST.fab_sha256 in text
        assert "changed: 'app/client.py'" in text
    assert not (tmp_path / "job" / "supernode.log").exists(), "a SuperNode was started"
