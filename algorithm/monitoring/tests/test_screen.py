"""What the user sees: whole lines, and on a terminal below them what goes on."""

import io
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest
from rich.cells import cell_len

from algorithm.monitoring.entries import ENDED, MARK, STARTED, Entry
from algorithm.monitoring.screen import Progress, Screen
from algorithm.tests.terminal import Terminal
from proxy.carriers import Carrier
from proxy.central.report import MessageRecord

RED, PLAIN = "\x1b[91m", "\x1b[0m"
STARTED_ENTRY = Entry(event=STARTED, at=1.0, stations=["north", "south"])


class Slow(io.StringIO):
    """Lets others write between any two characters."""

    def write(self, text: str) -> int:
        for each in text:
            super().write(each)
            time.sleep(0)
        return len(text)


def record(station: str, step: int = 1, run: str = "5") -> MessageRecord:
    return MessageRecord(station, run, "train", "", message_id=f"{station} {step}", step=step)


# Screen


def test_lines_follow_one_another() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.line("one")
    screen.line("two")
    assert stream.getvalue() == "one\ntwo\n"


def test_a_status_is_shown_on_a_terminal_only() -> None:
    stream = io.StringIO()
    Screen(stream).status("working")
    assert stream.getvalue() == ""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return sized(monkeypatch, 100, 30)


def sized(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> Terminal:
    """Return a terminal of a size."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    return Terminal()


@contextmanager
def shown_on(terminal: Terminal) -> Iterator[Screen]:
    """Return a screen on a terminal, which is left afterwards."""
    screen = Screen(terminal)
    yield screen
    screen.leave()


def test_a_status_is_replaced_by_the_next_and_stays_below_the_lines(terminal: Terminal) -> None:
    with shown_on(terminal) as screen:
        screen.status("working")
        screen.line("one")
        assert terminal.lines == ["one", "working"]
        screen.status("still at it")
        screen.line("two")
        assert terminal.lines == ["one", "two", "still at it"]
        screen.status("")
        assert terminal.lines == ["one", "two"]


def test_a_status_takes_one_line_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sized(monkeypatch, 20, 10)
    with shown_on(terminal) as screen:
        screen.status("x" * 50)
        assert len(terminal.lines) == 1


def test_a_long_line_is_there_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sized(monkeypatch, 20, 10)
    with shown_on(terminal) as screen:
        screen.status("working")
        screen.line("one two  three " * 3)
        assert "".join(terminal.lines[:-1]) == ("one two  three " * 3).rstrip()


def test_colours_are_kept_on_a_terminal_and_dropped_elsewhere(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    for each in (terminal, stream):
        Screen(each).line(f"{RED}ERROR{PLAIN}: no", colours=True)
    assert RED in terminal.getvalue()
    assert terminal.lines == ["ERROR: no"]
    assert stream.getvalue() == "ERROR: no\n"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    Screen(plain).line(f"{RED}ERROR{PLAIN}: no", colours=True)
    assert plain.getvalue() == "ERROR: no\n"


def test_what_others_said_has_no_colours_and_moves_no_cursor(terminal: Terminal) -> None:
    text = f"{RED}ERROR{PLAIN}\x1b]0;title\x07\x1b[2J [red]:smile:\nflower-v6 | all is well"
    Screen(terminal).line(text)
    assert terminal.getvalue() == "ERROR [red]:smile: flower-v6 | all is well\n"


def test_a_dumb_terminal_gets_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with shown_on(terminal) as screen:
        screen.status("working")
        screen.take(STARTED_ENTRY)
        screen.line("one")
    assert terminal.getvalue() == "one\n"


def test_a_container_with_a_terminal_writes_lines_only(terminal: Terminal) -> None:
    screen = Screen(terminal, plain=True)
    screen.status("working")
    screen.take(STARTED_ENTRY)
    screen.line(f"{RED}one", colours=True)
    assert terminal.getvalue() == "one\n"


def test_what_an_app_writes_is_not_taken_for_an_entry() -> None:
    stream = io.StringIO()
    for text in (f"{MARK}{{}}", f"{RED}{MARK}{{}}", f"\x00{MARK}{{}}"):
        Screen(stream).line(text, colours=True)
    assert stream.getvalue() == f" {MARK}{{}}\n" * 3


def test_a_log_record_tells_its_exception_in_its_line() -> None:
    stream = io.StringIO()
    logger = logging.Logger("a logger")
    logger.addHandler(Screen(stream))
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        logger.exception("failed")
    assert stream.getvalue() == "flower-v6 | error: failed (ValueError('one\\ntwo'))\n"


class Broken(io.StringIO):
    """Takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "gone"), [(BrokenPipeError(32, "Broken pipe"), 1), (OSError(28, "No space"), 0)]
)
def test_what_cannot_be_written_raises_nothing_and_is_kept_as_the_failure(
    error: OSError, gone: int
) -> None:
    calls: list[str] = []
    stream = Broken(error)
    screen = Screen(stream, reader_gone=lambda: calls.append("gone"))
    screen.line("one")
    screen.line("two")
    assert screen.failure is error
    assert stream.tries == 1
    assert len(calls) == gone


def test_log_records_are_lines_that_name_the_bridge_and_the_level() -> None:
    stream = io.StringIO()
    logger = logging.Logger("a logger")
    logger.addHandler(Screen(stream))
    logger.warning("%d of %d", 1, 2)
    assert stream.getvalue() == "flower-v6 | warning: 1 of 2\n"


def test_lines_of_several_threads_stay_whole() -> None:
    stream = Slow()
    screen = Screen(stream)
    lines = [f"{number} " + "x" * 50 for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(screen.line, lines))
    assert sorted(stream.getvalue().splitlines()) == sorted(lines)


# Progress


def steps(stream: io.StringIO) -> list[str]:
    """Return the lines about steps, without what took how long."""
    return [line.rpartition(", ")[0] for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(stream: io.StringIO) -> Progress:
    return Progress(Screen(stream))


def test_a_step_is_told_when_its_last_station_answered(
    progress: Progress, stream: io.StringIO
) -> None:
    north, south = record("north"), record("south")
    north.bytes_out = south.bytes_out = 300
    north.bytes_back = south.bytes_back = 1_200_000
    for each in (north, south):
        progress.taken(each)
    progress.answered(north)
    assert steps(stream) == []
    progress.answered(south)
    assert steps(stream) == [
        "flower-v6 | train 1: 2 of 2 stations answered, 600 B out, 2.4 MB back"
    ]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (2_000_000_000, "2.0 GB"),
        (5_000_000_000_000, "5.0 TB"),
    ],
)
def test_sizes_are_told_in_units_of_thousands(
    progress: Progress, stream: io.StringIO, size: int, shown: str
) -> None:
    sent = record("north")
    progress.taken(sent)
    sent.bytes_out = size
    progress.answered(sent)
    assert f", {shown} out," in stream.getvalue()


def test_an_error_is_told_at_once_and_counted_in_the_step(
    progress: Progress, stream: io.StringIO
) -> None:
    north, south = record("north"), record("south")
    progress.taken(north)
    progress.taken(south)
    north.error = "The SuperNode ended."
    progress.answered(north)
    assert stream.getvalue() == "flower-v6 | north: The SuperNode ended.\n"
    progress.answered(south)
    assert "2 of 2 stations answered, 1 with an error" in stream.getvalue()


def test_an_error_of_code_0_without_a_reason_is_one(
    progress: Progress, stream: io.StringIO
) -> None:
    north = record("north")
    progress.taken(north)
    north.error_code = 0
    progress.answered(north)
    assert "1 of 1 stations answered, 1 with an error" in stream.getvalue()


class Stations:
    """Is a carrier as far as Progress asks: "away" is offline."""

    stations = ("north", "south", "away")

    def online(self, station: str) -> bool:
        return station != "away"


def test_a_station_that_is_offline_is_named_and_counted(
    progress: Progress, stream: io.StringIO
) -> None:
    progress.carrier = cast("Carrier", Stations())
    north, south = record("north"), record("south")
    for each in (north, south):
        progress.taken(each)
    for each in (north, south):
        progress.answered(each)
    assert "train 1: 2 of 3 stations answered, away is offline" in stream.getvalue()


def test_a_station_that_runs_ahead_begins_the_next_step(
    progress: Progress, stream: io.StringIO
) -> None:
    slow, first, second = record("slow"), record("fast"), record("fast", step=2)
    for taken in (slow, first):
        progress.taken(taken)
    progress.answered(first)
    progress.taken(second)
    progress.answered(second)
    progress.answered(slow)
    assert [line.partition(" stations")[0] for line in steps(stream)] == [
        "flower-v6 | train 2: 1 of 1",
        "flower-v6 | train 1: 2 of 2",
    ]


def test_runs_at_the_same_time_have_their_own_steps(
    progress: Progress, stream: io.StringIO
) -> None:
    one, other = record("north", run="5"), record("south", run="6")
    for each in (one, other):
        progress.taken(each)
    progress.answered(one)
    assert len(steps(stream)) == 1


def test_all_records_are_kept_in_the_order_of_their_answers(progress: Progress) -> None:
    north, south = record("north"), record("south")
    progress.taken(north)
    progress.taken(south)
    progress.answered(south)
    progress.answered(north)
    assert progress.records == [south, north]


def test_a_terminal_shows_the_step_that_is_under_way(terminal: Terminal) -> None:
    with shown_on(terminal) as screen:
        progress = Progress(screen)
        north, south = record("north"), record("south")
        progress.taken(north)
        progress.taken(south)
        progress.answered(north)
        assert terminal.comes_to_show("train 1: 1 of 2 stations answered")
        progress.answered(south)
        assert len(terminal.lines) == 1


def test_an_error_of_a_station_is_one_short_line(progress: Progress, stream: io.StringIO) -> None:
    north = record("nor\x1b]0;title\x07th")
    progress.taken(north)
    north.error = "\x1b[31m" + "no data\n" * 20_000
    progress.answered(north)
    first = stream.getvalue().splitlines()[0]
    assert first.startswith("flower-v6 | north: no data no data")
    assert first.endswith("more characters are cut]")
    assert len(first) < 1_100
    assert "\x1b" not in stream.getvalue()


# The stations' table


def working(station: str, event: str = "sent", at: float = 2.0, **said: Any) -> Entry:
    """Return an entry of a message of a station."""
    return Entry(event=event, at=at, station=station, message_type="train", step=3, **said)


def row_of(station: str, terminal: Terminal) -> list[str]:
    (row,) = [line.split() for line in terminal.lines if line.startswith(f"{station} ")]
    return row


def test_a_terminal_shows_a_row_for_each_station_and_leaves_nothing_of_it(
    terminal: Terminal,
) -> None:
    with shown_on(terminal) as screen:
        screen.take(STARTED_ENTRY)
        for entry in (
            working("north", "pulled", at=1.0),
            working("north", "sent", bytes=1_200_000),
            working("north", "answered", bytes=300, metrics={"num-examples": 5, "loss": 0.51234}),
            working("north", "pushed", at=3.5),
            working("south", "pulled"),
        ):
            screen.take(entry)
        screen.line("a line")
        assert terminal.lines[0] == "a line"
        assert row_of("north", terminal) == [
            *("north", "idle", "train", "3", "2.5", "s", "1.2", "MB", "300", "B"),
            *("loss", "0.5123"),
        ]
        assert row_of("south", terminal)[1] == "preparing"
        screen.take(Entry(event=ENDED, at=9.0))
        assert terminal.lines == ["a line"]
    assert terminal.cursor_is_shown


def test_a_station_that_answers_with_an_error_is_seen_as_failed(terminal: Terminal) -> None:
    with shown_on(terminal) as screen:
        screen.take(STARTED_ENTRY)
        screen.take(working("north", "answered", error_code=5, error="no"))
        screen.take(working("north", "pushed"))
        screen.line("")
        assert row_of("north", terminal)[1] == "failed"


def test_of_more_stations_than_fit_those_are_shown_that_have_most_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = sized(monkeypatch, 80, 12)
    names = [f"clinic-{number:03}" for number in range(500)]
    with shown_on(terminal) as screen:
        screen.take(Entry(event=STARTED, at=1.0, stations=names))
        screen.take(working(names[400], "pulled"))
        screen.take(working(names[499], "dropped"))
        screen.line("a line")
        assert terminal.visible[0] == "a line"
        assert row_of(names[400], terminal)[1] == "preparing"
        assert row_of(names[499], terminal)[1] == "failed"
        assert any("more: " in line and "ready" in line for line in terminal.visible)
        assert len(terminal.lines) <= 12


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (10, 3), (30, 8), (59, 20), (200, 60)])
def test_a_terminal_of_any_size_shows_what_fits(
    monkeypatch: pytest.MonkeyPatch, columns: int, lines: int
) -> None:
    terminal = sized(monkeypatch, columns, lines)
    with shown_on(terminal) as screen:
        screen.take(STARTED_ENTRY)
        screen.status("working")
        for number in range(20):
            screen.line(f"{number}")
        assert len(terminal.visible) == lines
    shown = "".join(terminal.lines)
    assert all(f"{number}" in shown for number in range(20 if columns > 1 else 10))
    assert "north" not in shown


def test_names_with_wide_characters_keep_the_columns_in_line(terminal: Terminal) -> None:
    with shown_on(terminal) as screen:
        screen.take(Entry(event=STARTED, at=1.0, stations=["東京病院", "Zürich"]))
        screen.line("")
        rows = [line.partition("ready")[0] for line in terminal.lines if "ready" in line]
        assert [cell_len(row) for row in rows] == [10, 10]


def test_a_stranger_makes_no_row(terminal: Terminal) -> None:
    with shown_on(terminal) as screen:
        screen.take(STARTED_ENTRY)
        screen.take(working("east"))
        screen.line("")
        assert not any("east" in line for line in terminal.lines)


def test_a_terminal_that_is_gone_harms_nothing() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    with shown_on(Gone()) as screen:
        screen.take(STARTED_ENTRY)
        screen.line("one")
        screen.status("working")
    assert screen.failure is not None
