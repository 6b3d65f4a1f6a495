"""A ServerApp that starts anew is answered from the journal as long as it says the same again."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from protos import fleet_pb2 as fleet
from protos.bundle_pb2 import Header
from proxy.bundle import Bundle
from proxy.carriers import Exchange
from proxy.central.central_proxy import CentralProxy
from proxy.central.events import Answered, Event, Pulled, Stage
from proxy.central.memory import Differs
from proxy.central.tests.bridges import Watch
from proxy.errors import Cancelled, CarrierError, UsageError
from proxy.fleet.messages import ErrorCode, error_reply
from proxy.fleet.releases import Schema
from proxy.journal.files import key_of
from proxy.journal.history import GIVEN, History
from proxy.journal.journal import Journal
from proxy.journal.tests.journals import SPOKEN, Killed, LateClock, Station, expect_kills
from proxy.system.records import DamagedRecords, Record, Records
from proxy.testing import Content, FakeSuperLink, Objects, record_dict
from proxy.tests.helpers import Drained, some, wait_until, write_bundle
from proxy.transport.superlink import SuperLink

ABOUT = {"app": "a1", "run config": {"rounds": 3}}


class Runs:
    """Starts of one run: each with a SuperLink of its own, which dies with its central.

    Attributes
    ----------
    station : Station
        Lives on.
    folder : Path
        The journal's; after a kill, as it was at that moment.
    """

    def __init__(self, folder: Path, schema: Schema) -> None:
        self.schema = schema
        self.station = Station(folder / "station", schema)
        self.station.clientapp = lambda content: content
        self.folder = folder / "journal-1"
        self.starts: list[Start] = []

    def start(self, kill_at: Stage | None = None, noted: bool = True, message: int = 1) -> "Start":
        """Start the run; it is killed when its `message`-th message comes to a stage."""
        start = Start(self, kill_at, noted, message)
        self.starts.append(start)
        return start

    def close(self) -> None:
        for start in self.starts:
            start.close()


class Start:
    """One start of the run."""

    def __init__(self, runs: Runs, kill_at: Stage | None, noted: bool, message: int) -> None:
        self._runs = runs
        self.killed = threading.Event()
        self.superlink = FakeSuperLink(schema=runs.schema)
        self.journal = journal = Journal(runs.folder)
        self.fixed = journal.begin(ABOUT, {"number": len(runs.starts)})
        self.watch = Watch()
        self.clock = LateClock()
        trace, seen = journal.trace, []

        def kill() -> None:
            runs.folder = runs.folder.with_name(f"journal-{len(runs.starts) + 1}")
            shutil.copytree(journal.folder, runs.folder)
            self.killed.set()
            raise Killed

        def listen(event: Event) -> None:
            if event.stage == kill_at:
                seen.append(event)
            due = event.stage == kill_at and len(seen) == message
            if due and not noted:
                kill()
            trace(event)
            if due:
                kill()

        journal.trace = listen  # type: ignore[method-assign]
        self.central = CentralProxy(
            *(lambda _: SuperLink(self.superlink), runs.station, journal.work, 60.0, self.watch),
            clock=self.clock,
            journal=journal,
        )
        self.central.start()

    def say(self, contents: Sequence[Objects]) -> list[Content]:
        """Send messages, one after the other; returns the replies until it was killed."""
        replies: list[Content] = []
        for content in contents:
            message_id = self.superlink.push_instruction(content, *self.superlink.online)

            def ended(message_id: str = message_id) -> bool:
                answers = [each.message_id for each in self.watch.answers]
                return message_id in answers or self.killed.is_set()

            assert wait_until(ended)
            if self.killed.is_set():
                break
            replies.append(self.superlink.reply_to(message_id))
        return replies

    def close(self) -> None:
        self.central.stop()
        with suppress(OSError):
            self.journal.close()


@pytest.fixture(params=SPOKEN, ids=lambda schema: schema.releases)
def runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runs]:
    expect_kills(monkeypatch)
    runs = Runs(tmp_path, request.param)
    yield runs
    runs.close()


def said(rounds: int) -> list[Objects]:
    return [record_dict(weights=b"w" * number) for number in range(1, rounds + 1)]


_STAGES = (Stage.PULLED, Stage.DRAINED, Stage.SENT, Stage.ANSWERED, Stage.PUSHED)


@pytest.mark.parametrize(
    ("stage", "noted"), some([(stage, noted) for noted in (False, True) for stage in _STAGES], 3)
)
def test_a_run_that_was_killed_anywhere_goes_on_there_and_trains_nothing_twice(
    runs: Runs, stage: Stage, noted: bool
) -> None:
    killed = runs.start(stage, noted, message=2)
    assert killed.say(said(3)) == said(1)
    assert killed.killed.is_set()
    resumed = runs.start()
    assert resumed.fixed == killed.fixed
    assert resumed.say(said(3)) == said(3)
    assert list(runs.station.trained.values()) == [1, 1, 1]


def test_a_run_may_be_killed_again_and_again(runs: Runs) -> None:
    for number in range(3):
        assert runs.start(Stage.SENT).say(said(4)) == said(number)
    assert runs.start().say(said(4)) == said(4)
    assert list(runs.station.trained.values()) == [1, 1, 1, 1]


def test_a_message_that_is_known_is_not_confirmed_before_the_serverapp_has_sent_all_of_it(
    runs: Runs,
) -> None:
    """Else its run fails: the SuperLink does not take the objects any more."""
    runs.start(Stage.PULLED, message=2).say(said(2))
    resumed = runs.start()
    assert resumed.say(said(1)) == said(1)
    methods = [method for method, _ in resumed.superlink.calls]
    if "ConfirmMessageReceived" in methods:  # until 1.18 a message comes whole
        assert "PullObject" in methods[: methods.index("ConfirmMessageReceived")]


def test_a_message_of_which_the_station_has_no_reply_is_trained_as_the_new_one_that_it_is(
    runs: Runs,
) -> None:
    killed = runs.start(Stage.SENT)
    killed.say(said(1))
    runs.station.had |= {entry.message for entry in killed.journal.history.entries.values()}
    assert runs.start(Stage.PUSHED, noted=False).say(said(1)) == []
    assert runs.start().say(said(2)) == said(2)
    assert list(runs.station.trained.values()) == [1, 1]


def test_of_a_message_under_way_only_that_is_kept_which_its_serverapp_does_not_send_again(
    runs: Runs,
) -> None:
    large = [record_dict(weights=os.urandom(1 << 20))]
    runs.start(Stage.SENT).say(large)
    [kept] = (runs.folder / "outlines").iterdir()
    assert kept.stat().st_size < 1 << 12
    assert runs.start().say(large) == large


def test_a_message_that_cannot_be_kept_on_a_full_disk_is_not_sent(runs: Runs) -> None:
    start = runs.start()
    outlines = runs.folder / "outlines"
    (outlines / f"{key_of('north')}.new.part").symlink_to("/dev/full")
    [error] = start.say(said(1))
    assert isinstance(error, fleet.Error)
    assert error.code == ErrorCode.NODE_UNAVAILABLE
    assert "The message was not sent" in error.reason
    assert not runs.station.trained
    assert not any(outlines.iterdir())


def test_a_message_for_which_the_journals_disk_has_no_room_gets_code_5(runs: Runs) -> None:
    start = runs.start()
    (start.journal.folder_of("north") / "instruction.new.part").symlink_to("/dev/full")
    [error] = start.say(said(1))
    assert isinstance(error, fleet.Error)
    assert error.code == ErrorCode.NODE_UNAVAILABLE


@pytest.mark.parametrize("content", [record_dict(a=b"1", b=b"2"), record_dict()])
def test_a_station_is_asked_with_the_bundle_that_it_got(runs: Runs, content: Objects) -> None:
    bundles: list[tuple[Header, dict[str, bytes]]] = []

    def sent(exchange: Exchange) -> None:
        with Bundle(exchange.instruction) as bundle:
            bundles.append((bundle.header, {each: bundle.read(each) for each in bundle.object_ids}))

    runs.station.way_back = sent
    runs.start(Stage.ANSWERED, noted=False).say([content])
    assert runs.start().say([content]) == [content]
    assert bundles[0] == bundles[1]


def kill(start: Start, runs: Runs) -> None:
    """Let what follows find the journal as it is now."""
    bundles = "stations/*/reply.bundle"
    assert wait_until(lambda: not any(start.journal.folder.glob(bundles)))
    runs.folder = runs.folder.with_name(f"copy-{len(runs.starts)}")
    shutil.copytree(start.journal.folder, runs.folder)


def begun_anew(start: Start, runs: Runs) -> str:
    """Kill a run that cannot go on, and start it again; returns why it begins anew."""
    kill(start, runs)
    again = runs.start()
    assert again.fixed != start.fixed
    return again.journal.history.runs[0].refused


def stop_on_the_way_back(start: Start, runs: Runs, content: Objects) -> None:
    """Stop a central while a reply is on its way."""
    on_its_way = threading.Event()

    def stopped(exchange: Exchange) -> None:
        on_its_way.set()
        assert exchange.cancelled.wait(20.0)
        raise Cancelled("The central was stopped.")

    runs.station.way_back = stopped
    start.superlink.push_instruction(content, *start.superlink.online)
    assert on_its_way.wait(20.0)
    start.close()
    runs.station.way_back = lambda _: None


def test_a_run_that_is_stopped_while_a_reply_is_on_its_way_trains_nothing_twice(
    runs: Runs,
) -> None:
    first = runs.start()
    assert first.say(said(1)) == said(1)
    stop_on_the_way_back(first, runs, said(2)[1])
    assert runs.start(Stage.PULLED, message=3).say(said(3)) == said(2)
    assert runs.start().say(said(3)) == said(3)
    assert list(runs.station.trained.values()) == [1, 1, 1]


def test_what_a_serverapp_sends_when_the_bridge_stops_is_not_noted(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives on for a moment, and goes on without the replies that were called off."""
    stopped = runs.start()
    assert stopped.say(said(1)) == said(1)
    superlink, call = stopped.superlink, stopped.superlink.call
    stopping = threading.Thread(target=stopped.central.stop)

    def call_while_stopping(method: str, request: bytes) -> bytes:
        if method == "PullMessages" and not stopping.ident:
            stopping.start()
            assert wait_until(stopped.central._stop.is_set)
            superlink.push_instruction(record_dict(weights=b"without"), *superlink.online)
        return call(method, request)

    monkeypatch.setattr(superlink, "call", call_while_stopping)
    assert wait_until(lambda: stopping.ident)
    stopping.join()
    assert len(stopped.journal.history.entries) == 1
    stopped.close()
    assert runs.start().say(said(2)) == said(2)
    assert list(runs.station.trained.values()) == [1, 1]


def test_a_station_that_is_out_of_reach_for_a_moment_is_asked_again_for_what_it_had(
    runs: Runs,
) -> None:
    away = [CarrierError("The station is away.")]

    def lost(_: Exchange) -> None:
        if away:
            raise away.pop()

    runs.start(Stage.ANSWERED, noted=False).say(said(1))
    runs.station.way_back = lost
    assert runs.start().say(said(2)) == said(2)
    assert list(runs.station.trained.values()) == [1, 1]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def unnoted(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A run whose first reply could not be noted, for want of room."""
    start = runs.start()
    with monkeypatch.context() as patch:
        runs.station.way_back = lambda _: patch.setattr(Records, "append", full)
        assert start.say(said(1)) == said(1)
    runs.station.way_back = lambda _: None
    return start


def test_a_reply_for_which_there_was_no_room_is_asked_for_again(runs: Runs, unnoted: Start) -> None:
    kill(unnoted, runs)
    assert runs.start().say(said(2)) == said(2)
    assert list(runs.station.trained.values()) == [1, 1]


def test_a_run_of_which_a_reply_is_lost_begins_anew(runs: Runs, unnoted: Start) -> None:
    assert unnoted.say(said(2)[1:]) == said(2)[1:]
    why = begun_anew(unnoted, runs)
    assert why == "The reply to message train 1 of station north was not noted."


def test_a_reply_to_a_message_that_was_called_off_may_be_lost_as_any_other(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_on_the_way_back(runs.start(), runs, said(1)[0])
    again = runs.start()
    with monkeypatch.context() as patch:
        runs.station.way_back = lambda _: patch.setattr(Records, "append", full)
        assert again.say(said(1)) == said(1)
    runs.station.way_back = lambda _: None
    assert again.say(said(2)[1:]) == said(2)[1:]
    assert begun_anew(again, runs) == "The reply to message train 1 of station north was not noted."


def test_a_message_that_expired_stays_unanswered_and_is_not_trained_again(runs: Runs) -> None:
    """The ServerApp gets at once what the SuperLink told it then."""
    first = runs.start()

    def late(_: Exchange) -> None:
        first.clock.late = 1e6

    runs.station.way_back = late
    message = first.superlink.push_instruction(said(1)[0], *first.superlink.online)
    assert wait_until(lambda: [each.message_id for each in first.watch.answers] == [message])
    assert message not in first.superlink.replies
    runs.station.way_back, first.clock.late = (lambda _: None), 0.0
    assert first.say(said(2)[1:]) == said(2)[1:]
    kill(first, runs)
    again = runs.start()
    assert again.fixed == first.fixed
    [error, reply] = again.say(said(2))
    assert isinstance(error, fleet.Error)
    assert error.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert reply == said(2)[1]
    assert list(runs.station.trained.values()) == [1, 1]


def test_what_a_carrier_says_of_a_run_that_was_given_up_is_not_noted(runs: Runs) -> None:
    """vantage6 takes minutes to answer that it has a task, while the run begins anew."""
    begun, late, noted = threading.Event(), threading.Event(), threading.Event()
    exchange = runs.station.exchange

    def slow(station: str, given: Exchange) -> None:
        begun.set()
        assert late.wait(20.0)
        given.started("task 17")
        noted.set()
        exchange(station, given)

    runs.start(Stage.SENT, message=2).say(said(2))
    first = runs.start()
    assert first.say(said(1)) == said(1)
    runs.station.exchange = slow  # type: ignore[method-assign, assignment]
    first.superlink.push_instruction(said(2)[1], *first.superlink.online)
    assert begun.wait(20.0)
    (node,) = first.central._nodes
    node.call_off()  # as a stop does, which would wait for some seconds
    first.journal.refuse("It differs.")
    first.journal.begin(ABOUT, {})
    late.set()
    assert noted.wait(20.0)
    first.close()
    assert Journal(runs.folder).history.runs[-1].entries == []


def test_a_run_that_cannot_go_on_after_a_kill_is_still_told_what_is_known(runs: Runs) -> None:
    runs.start(Stage.PULLED, message=3).say(said(3))
    again = runs.start()
    again.journal.refuse("The disk has no room for the replies.")
    assert again.say(said(2)) == said(2)
    assert list(runs.station.trained.values()) == [1, 1]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def hollow(path: Path) -> None:
    with Bundle(path) as outline:
        header = outline.header
    write_bundle(path, header, {})


@pytest.mark.parametrize("damage", [Path.unlink, cut, hollow])
def test_a_run_does_not_go_on_if_a_station_cannot_be_asked_for_what_it_may_have(
    runs: Runs, damage: Callable[[Path], None]
) -> None:
    runs.start(Stage.ANSWERED, noted=False, message=2).say(said(2))
    [outline] = (runs.folder / "outlines").iterdir()
    damage(outline)
    with pytest.raises(DamagedRecords, match="Station north may have message train 1"):
        runs.start()
    assert len([*(runs.folder / "replies").iterdir()]) == 1


def test_that_a_message_followed_one_whose_reply_is_lost_survives_a_power_cut(
    runs: Runs, unnoted: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    append = Records.append

    def note(file: Records, record: Record, sync: bool = True) -> None:
        if record["event"] == Stage.PULLED:
            synced.append(sync)
        append(file, record, sync)

    monkeypatch.setattr(Records, "append", note)
    assert unnoted.say(said(3)[1:]) == said(3)[1:]
    assert synced == [True, False]


def _has(folder: Path, files: int) -> bool:
    return len([*folder.iterdir()]) == files


def test_a_given_up_run_keeps_no_reply_that_was_told(runs: Runs) -> None:
    runs.start(Stage.PULLED, message=4).say(said(4))
    again = runs.start()
    again.journal.refuse("The disk has no room for the replies.")
    kept = again.journal.folder / "replies"
    for content, left in zip(said(4), [2, 1, 0, 0], strict=True):
        assert again.say([content]) == [content]
        assert wait_until(partial(_has, kept, left))


def test_a_reply_that_was_pushed_but_not_noted_is_lost_only_if_another_message_followed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.start()
    append = Records.append

    def but_an_answer(file: Records, record: Record, sync: bool = True) -> None:
        if record["event"] == Stage.ANSWERED:
            full()
        append(file, record, sync)

    with monkeypatch.context() as patch:
        patch.setattr(Records, "append", but_an_answer)
        assert first.say(said(1)) == said(1)
    kill(first, runs)
    assert runs.start(Stage.PULLED, message=3).say(said(3)) == said(2)
    assert list(runs.station.trained.values()) == [1, 1]
    assert first.say(said(2)[1:]) == said(2)[1:]
    assert begun_anew(first, runs) == "The reply to message train 1 of station north was not noted."


def test_a_run_in_which_a_message_could_not_be_noted_begins_anew_and_says_so(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.start()
    with monkeypatch.context() as patch:
        patch.setattr(Records, "append", full)
        [error] = first.say(said(1))
    assert isinstance(error, fleet.Error)
    assert first.say(said(2)[1:]) == said(2)[1:]
    assert begun_anew(first, runs) == "Message train 1 of station north could not be noted."


def test_a_journal_needs_no_hard_links(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    runs.start(Stage.PULLED, message=3).say(said(3))
    assert runs.start().say(said(3)) == said(3)
    assert list(runs.station.trained.values()) == [1, 1, 1]


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    other.replace(one)
    other.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda one, _: one.unlink(),
        lambda one, _: os.truncate(one, one.stat().st_size - 1),
        swap,
    ],
    ids=["removed", "cut", "swapped"],
)
def test_a_run_does_not_go_on_with_another_reply_than_it_had(
    runs: Runs, damage: Callable[[Path, Path], None]
) -> None:
    runs.start(Stage.PULLED, message=3).say(said(3))
    damage(*(runs.folder / "replies").iterdir())
    with pytest.raises(DamagedRecords, match=r"replies/.* is not the reply of station north to"):
        runs.start()


def without_records(journal: Path) -> None:
    os.truncate(journal, 0)


def without_the_file(journal: Path) -> None:
    journal.unlink()


def only_named(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]))


@pytest.mark.parametrize("damage", [without_records, without_the_file, only_named])
def test_replies_without_records_are_not_taken_for_a_new_journal(
    runs: Runs, damage: Callable[[Path], None]
) -> None:
    runs.start(Stage.PULLED, message=3).say(said(3))
    damage(runs.folder / "journal")
    with pytest.raises(
        DamagedRecords, match=r"journal is missing or empty, .*/replies has replies"
    ):
        runs.start()
    assert len([*(runs.folder / "replies").iterdir()]) == 2


@pytest.mark.parametrize(
    "record",
    [
        {"at": 1.0, "event": "forgotten", "station": "north", "message": "m"},
        {"at": 1.0, "event": "run", "about": {}},
        {"at": 1.0, "event": "ended", "status": "completed"},
        {"event": "named", "name": "b"},
        ["named"],
    ],
    ids=["unknown", "in part", "of no run", "without a time", "no record"],
)
def test_a_record_that_does_not_fit_is_damage_of_the_file(tmp_path: Path, record: Record) -> None:
    Journal(tmp_path).close()
    records = Records(tmp_path / "journal")
    records.append(record)
    records.close()
    with pytest.raises(DamagedRecords, match=r"/journal has a record in line 3 that does not fit"):
        Journal(tmp_path)


def without_an_object(path: Path) -> None:
    """Take an object out of a reply's bundle: one of its content, where it has objects."""
    with Bundle(path) as bundle:
        header, objects = bundle.header, {each: bundle.read(each) for each in bundle.object_ids}
    del objects[min(objects, key=lambda each: each == header.reply.push_messages_object_id)]
    write_bundle(path, header, objects)


def test_a_reply_from_before_that_is_not_whole_is_not_given(runs: Runs) -> None:
    runs.start(Stage.ANSWERED, noted=False).say(said(1))
    for reply in runs.station.replies():
        without_an_object(reply)
    assert runs.start().say(said(1)) == said(1)
    assert list(runs.station.trained.values()) == [1, 1]


def test_an_error_that_the_serverapp_saw_it_sees_again(runs: Runs) -> None:
    def fail(_: Objects) -> Content:
        return fleet.Error(code=ErrorCode.CLIENT_APP_CRASHED, reason="It crashed.")

    runs.station.clientapp = fail
    first = runs.start(Stage.PULLED, message=2)
    errors = first.say(said(2))
    runs.station.clientapp = lambda content: content
    assert runs.start().say(said(2)) == [*errors, said(2)[1]]


def test_a_serverapp_that_says_something_else_gets_no_answer_and_the_run_begins_anew(
    runs: Runs,
) -> None:
    runs.start(Stage.SENT, message=3).say(said(3))
    other = [said(1)[0], record_dict(other=b"o"), said(3)[2]]
    resumed = runs.start()
    assert resumed.say(other[:1]) == other[:1]
    message_id = resumed.superlink.push_instruction(other[1], *resumed.superlink.online)
    assert wait_until(lambda: resumed.journal.difference is not None)
    with pytest.raises(Differs, match=r"train 1 for station north differs .* the content"):
        resumed.journal.check()
    assert message_id not in resumed.superlink.replies
    resumed.journal.refuse("It differs.")
    resumed.close()
    anew = runs.start()
    assert anew.fixed != resumed.fixed
    assert anew.say(other) == other
    assert runs.station.trained.total() == 2 + 3


def test_a_run_that_has_ended_is_not_gone_on_with(runs: Runs) -> None:
    first = runs.start()
    first.say(said(2))
    first.journal.end("completed")
    assert list((runs.folder / "replies").iterdir()) == []
    first.close()
    second = runs.start()
    assert second.fixed != first.fixed
    assert second.say(said(2)) == said(2)
    assert runs.station.trained.total() == 4


def test_a_run_config_with_nan_is_that_of_the_same_run(tmp_path: Path) -> None:
    about = {**ABOUT, "run config": {"threshold": float("nan"), "rounds": 3}}
    journal = Journal(tmp_path)
    journal.begin(about, {"number": 1})
    journal.close()
    assert Journal(tmp_path).begin(about, {"number": 2}) == {"number": 1}


def test_a_run_of_something_else_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin(ABOUT, {})
    journal.close()
    with pytest.raises(UsageError, match=r"with another run config: rounds: 3 there, 4 now\."):
        Journal(tmp_path).begin({**ABOUT, "run config": {"rounds": 4}}, {})


def test_a_run_with_an_answer_that_no_station_gave_goes_on_but_not_after_a_kill(
    runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    first = runs.start()
    for _ in range(2):
        first.journal.give_up_resuming("Message 1234 expired.")
    assert first.say(said(2)) == said(2)
    assert caplog.text.count("Message 1234 expired. The run goes on") == 1
    first.close()
    assert runs.start().fixed != first.fixed


def test_on_a_full_disk_a_run_goes_on_that_will_begin_anew(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.start()
    with monkeypatch.context() as patch:
        patch.setattr(Records, "append", full)
        first.journal.give_up_resuming("Message 1234 expired.")
    assert first.say(said(2)) == said(2)
    first.close()
    assert runs.start().fixed != first.fixed


def test_for_how_long_no_central_was_there_is_no_reason_to_wait(tmp_path: Path) -> None:
    about = ("step", 1), ("message_type", "train"), ("group_id", "1"), ("flower_run", "7")
    message = {"station": "north", "message": "1f", "expires_at": 9e9, "content": "", **dict(about)}
    records = [
        {"event": "run", "about": {}, "fixed": {}, "at": 100.0},
        {"event": Stage.PULLED, **message, "at": 110.0},
        {"event": Stage.SENT, "station": "north", "message": "1f", "at": 115.0},
        {"event": "resumed", "at": 1115.0},
        {
            **{"event": Stage.ANSWERED, "station": "north", "message": "1f", "at": 1120.0},
            **{"reply": "1f.bundle", "called_off": False},
        },
        {"event": GIVEN, "station": "north", "message": "1f", "at": 1120.0},
    ]
    (entry,) = History(records, tmp_path).entries.values()
    assert entry.took == 10.0


def test_one_that_took_a_reply_earlier_than_before_took_those_behind_it_otherwise_too(
    tmp_path: Path,
) -> None:
    about = {"event": "run", "about": {}, "fixed": {}, "at": 100.0}
    taken = [["4/0"], ["5/0", "6/0"], ["4/1"], ["6/0"], ["5/0", "4/1"], ["5/1"]]
    records = [
        about,
        *(
            {"event": "taken", "sent": 3, "messages": names, "in_vain": False, "at": 110.0}
            for names in taken
        ),
    ]
    (run,) = History(records, tmp_path).runs
    assert [names for _, names, _ in run.takes] == [["4/0"], ["6/0"], ["5/0", "4/1"], ["5/1"]]


def test_replies_are_given_again_in_the_order_in_which_the_superlink_got_them(
    tmp_path: Path,
) -> None:
    """Of two that come at the same time, the one that came first may not be the first there."""
    journal = Journal(tmp_path / "journal")
    journal.begin(ABOUT, {})
    times: dict[str, Any] = {"step": 1, "at": 0.0, "seconds": {}}
    messages: list[dict[str, Any]] = [
        {"station": name, "instruction": Drained().instruction, **times}
        for name in ("north", "south")
    ]
    for about in messages:
        journal.trace(Pulled(**about))
    for about in messages:
        reply, objects = error_reply(about["instruction"], ErrorCode.UNKNOWN, "It failed.", 0.0)
        journal.trace(Answered(**about, reply=reply, read=objects.__getitem__))
    is_next = threading.Event()

    def give_north() -> None:
        with journal.giving("north"):
            is_next.set()

    other = threading.Thread(target=give_north)
    with journal.giving("south"):
        other.start()
        assert not is_next.wait(0.05)
    other.join()
    journal.close()
    with closing(Journal(tmp_path / "journal")) as successor:
        run = successor.history.run
        assert run is not None
        assert [entry.station for entry in run.answers] == ["south", "north"]


@pytest.mark.parametrize("lost", [False, True])
def test_the_time_that_a_message_was_under_way_before_is_known_when_its_answer_waits(
    runs: Runs, lost: bool
) -> None:
    """Also if the station begins with it anew."""
    killed = runs.start(Stage.SENT)
    killed.say(said(1))
    (entry,) = killed.journal.history.entries.values()
    with closing(Records(runs.folder / "journal")) as records:
        about = {"station": "north", "message": entry.message, "task": "7"}
        records.append({"event": "task", **about, "at": entry.at + 1000.0})
    if lost:
        runs.station.had.add(entry.message)
    resumed = runs.start()
    assert resumed.say(said(1)) == said(1)
    assert resumed.journal.past("north", Drained().instruction).took == pytest.approx(1000.0)
    (entry,) = resumed.journal.history.entries.values()
    assert entry.took >= 1000.0


def test_what_cannot_go_on_in_any_case_may_be_changed(runs: Runs) -> None:
    """An app that is given a seed, say."""
    first = runs.start()
    first.journal.refuse("It differs.")
    assert first.journal.begin({"app": "a2"}, {"number": "anew"}) == {"number": "anew"}


def test_a_run_whose_replies_fill_the_disk_goes_on_but_not_after_a_kill(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = runs.start()
    assert first.say(said(1)) == said(1)
    full = type("usage", (), {"total": 100, "free": 4})
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    assert first.say(said(4)[1:]) == said(4)[1:]
    assert list((runs.folder / "replies").iterdir()) == []
    assert caplog.text.count("has no room for the replies. The run goes on") == 1
    first.close()
    again = runs.start()
    assert again.fixed != first.fixed
    assert again.say(said(1)) == said(1)
