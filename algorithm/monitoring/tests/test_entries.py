"""`events.jsonl`: what is written is read, whatever a station said and however a line was torn."""

import json
import logging
import math
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithm.monitoring.entries import FILE, SCHEMA, Entry, read_entries, read_file
from algorithm.monitoring.event_file import EventFile
from algorithm.monitoring.outcome import Outcome
from protos import fleet_pb2 as fleet
from proxy.errors import AppError, UsageError
from proxy.fleet.messages import ErrorCode
from proxy.testing import ClientApp, MemoryCarrier, ProxyPair, record_dict

MESSAGE: dict[str, Any] = {
    "station": "Alpha",
    "flower_run": "7",
    "message_type": "train",
    "message_id": "1f",
    "step": 3,
}
PULLED = Entry(event="pulled", at=1.5, **MESSAGE)
ANSWERED = Entry(
    event="answered",
    at=2.5,
    seconds={"carry": 1.0},
    bytes=10,
    object_bytes=5,
    metrics={"loss": 0.5, "n": 3},
    error_code=0,
    **MESSAGE,
)
OUTCOME = Outcome("an app", "1.41.0", "warm", ["Alpha", "Beta"], status="failed", cause="no")


def strictly(text: str) -> Any:
    """Read JSON as a browser does."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def entries_of(clientapp: ClientApp, folder: Path) -> list[Entry]:
    """Return the entries of a message that a ClientApp answers."""
    pair = ProxyPair(MemoryCarrier(clientapp), folder)
    pair.send(record_dict(weights=b"12345"))
    return [Entry.of(event) for event in pair.events]


# The format


@pytest.mark.parametrize("entry", [PULLED, ANSWERED])
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert Entry.read(entry.text()) == entry


def test_an_entry_is_one_line_of_ascii_that_says_its_schema() -> None:
    text = Entry(event="pulled", at=1.0, station="Zürich 東京").text()
    assert text.isascii()
    assert strictly(text) == {
        **{"schema": SCHEMA, "event": "pulled", "at": 1.0},
        "station": "Zürich 東京",
    }


def test_what_an_event_does_not_say_is_not_written() -> None:
    assert strictly(PULLED.text()).keys() == {"schema", "event", "at", *MESSAGE}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_entry_is_json_whatever_number_is_in_it(number: float) -> None:
    text = Entry(event="answered", at=1.0, metrics={"loss": number, "n": 3}).text()
    assert strictly(text)["metrics"] == {"n": 3}


def test_a_run_begins_and_ends_with_what_run_json_says() -> None:
    started, ended = Entry.started(OUTCOME, 1.0), Entry.ended(OUTCOME, 2.0)
    assert (started.app, started.flower_release, started.mode) == ("an app", "1.41.0", "bridge")
    assert started.stations == ["Alpha", "Beta"]
    assert (ended.status, ended.cause) == ("failed", "no")


def test_a_station_has_one_name_in_all_entries(tmp_path: Path) -> None:
    pair = ProxyPair(MemoryCarrier(lambda content: content), tmp_path)
    pair.send(record_dict(weights=b"1"))
    named = [replace(event, station="North\nWest\u200b") for event in pair.events]
    started = Entry.started(Outcome("", "", "", ["North\nWest\u200b"]), 1.0)
    assert started.stations == [Entry.of(named[0]).station] == ["North West"]


# A message


def test_a_message_has_an_entry_for_each_stage(tmp_path: Path) -> None:
    entries = entries_of(lambda content: content, tmp_path)
    assert [each.event for each in entries] == ["pulled", "drained", "sent", "answered", "pushed"]
    assert {each.message_id for each in entries} == {entries[0].message_id}
    _, drained, sent, answered, pushed = entries
    assert drained.object_bytes > 5
    assert len(drained.fab_hash) == 64
    assert sent.bytes > drained.object_bytes
    assert answered.bytes > answered.object_bytes > 5
    assert drained.seconds.keys() == {"drain"}
    assert pushed.seconds.keys() == {"store"}


def test_what_others_wrote_has_no_sequence_that_a_terminal_obeys(tmp_path: Path) -> None:
    error = fleet.Error(code=ErrorCode.UNKNOWN, reason="\x1b[2Jall\u202e is well\x00")
    answered = entries_of(lambda _: error, tmp_path)[3]
    assert answered.error == "all is well"


# Lines that are torn, foreign, or of another release


@pytest.mark.parametrize(
    "line",
    [
        *("", "\n", "[1]", "1", "null", "{}", '{"schema": 1}', '{"schema": true}'),
        *('{"schema": "1", "event": "pulled", "at": 1}', '{"schema": 1, "event": "pulled"}'),
        *('{"schema": 1, "event": 5, "at": 1}', '{"schema": 1, "event": "a", "at": NaN}'),
        *('{"schema": 1, "event": "a", "at": 1, "step": "x"}', "[" * 100_000, "\ud800"),
        *(f'{{"schema": 1, "event": "a", "at": 1, "x": {"[" * n}{"]" * n}}}' for n in (900, 990)),
        ANSWERED.text()[:-1],
    ],
)
def test_a_line_that_is_torn_or_none_of_ours_is_passed_over(line: str) -> None:
    assert list(read_entries([line, PULLED.text()])) == [PULLED]


def test_what_a_newer_release_adds_is_passed_over() -> None:
    line = json.dumps({**strictly(PULLED.text()), "energy": 3})
    assert Entry.read(line) == PULLED


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="its schema is 2, this bridge reads 1"):
        Entry.read('{"schema": 2}')


def test_what_a_forger_wrote_is_cleaned() -> None:
    forged = json.dumps({**strictly(PULLED.text()), "station": "\x1b]0;x\x07A"})
    assert next(read_entries([forged])).station == "A"


# The file


@pytest.fixture
def file(tmp_path: Path) -> Iterator[EventFile]:
    file = EventFile(tmp_path, anew=True)
    yield file
    file.close()


def test_each_line_is_there_as_soon_as_it_is_written(file: EventFile, tmp_path: Path) -> None:
    for count, entry in enumerate((PULLED, ANSWERED), start=1):
        file.write(entry)
        assert list(read_file(tmp_path / FILE)) == [PULLED, ANSWERED][:count]


def test_a_file_is_begun_anew_or_added_to(tmp_path: Path) -> None:
    for anew in (False, False, True, False):
        file = EventFile(tmp_path, anew)
        file.write(PULLED)
        file.close()
    assert list(read_file(tmp_path / FILE)) == [PULLED, PULLED]


def test_a_command_that_is_refused_before_its_first_entry_changes_nothing(
    tmp_path: Path,
) -> None:
    file = EventFile(tmp_path, anew=True)
    file.write(PULLED)
    file.close()
    EventFile(tmp_path, anew=True).close()
    assert list(read_file(tmp_path / FILE)) == [PULLED]


def test_a_line_that_a_kill_tore_harms_none_that_follow(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"{PULLED.text()}\n{ANSWERED.text()[:30]}")
    file = EventFile(tmp_path, anew=False)
    file.write(ANSWERED)
    file.close()
    assert list(read_file(tmp_path / FILE)) == [PULLED, ANSWERED]


def test_two_commands_do_not_write_one_file(file: EventFile, tmp_path: Path) -> None:
    file.write(PULLED)
    with pytest.raises(UsageError, match=r"Another flower-v6 is writing .*events\.jsonl"):
        EventFile(tmp_path, anew=True)
    assert list(read_file(tmp_path / FILE)) == [PULLED]


def test_a_full_disk_is_said_once_and_tears_no_line_that_follows(
    file: EventFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(PULLED)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(PULLED.text()) + 20, limits[1]))
    try:
        for _ in range(3):
            file.write(ANSWERED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    file.write(ANSWERED)
    assert list(read_file(tmp_path / FILE)) == [PULLED, ANSWERED]
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    assert "lacks events from here on: No space left on device" in caplog.text


def test_a_disk_that_takes_nothing_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to("/dev/full")
    file = EventFile(tmp_path, anew=False)
    file.write(PULLED)
    file.close()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(AppError, match=r"events\.jsonl cannot be written: Is a directory"):
        EventFile(tmp_path, anew=True)
