"""What the user sees: whole lines, and on a terminal a last line that tells what goes on."""

import io
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from algorithm.runs.screen import Progress, Screen
from proxy.carriers import Carrier
from proxy.central.report import MessageRecord

RED, PLAIN = "\x1b[91m", "\x1b[0m"


class Terminal(io.StringIO):
    """Shows what a terminal would show."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        shown = []
        for written in self.getvalue().split("\n"):
            shown.append(written.rpartition("\r\x1b[K")[2])
        return shown


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


def test_a_status_is_replaced_by_the_next_and_stays_below_the_lines() -> None:
    terminal = Terminal()
    screen = Screen(terminal)
    screen.status("working")
    screen.line("one")
    screen.status("still working")
    screen.line("two")
    assert terminal.lines == ["one", "two", "still working"]
    screen.status("")
    assert terminal.lines == ["one", "two", ""]


def test_a_status_takes_one_line_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    Screen(terminal).status("x" * 50)
    assert len(terminal.lines[-1]) < 20


def test_colours_are_kept_on_a_terminal_and_dropped_elsewhere() -> None:
    terminal, stream = Terminal(), io.StringIO()
    for each in (terminal, stream):
        Screen(each).line(f"{RED}ERROR{PLAIN}: no", colours=True)
    assert terminal.getvalue() == f"{RED}ERROR{PLAIN}: no\n"
    assert stream.getvalue() == "ERROR: no\n"


def test_what_others_said_has_no_colours_and_moves_no_cursor() -> None:
    terminal = Terminal()
    Screen(terminal).line(f"{RED}ERROR{PLAIN}\x1b]0;title\x07\x1b[2J\nflower-v6 | all is well")
    assert terminal.getvalue() == "ERROR flower-v6 | all is well\n"


def test_a_status_has_no_sequence_that_was_cut_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    terminal = Terminal()
    Screen(terminal).status(f"12345{RED}6789")
    assert terminal.lines == ["123456789"]


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
        (5_000_000_000_000, "5000.0 GB"),
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


def test_a_terminal_shows_the_step_that_is_under_way() -> None:
    terminal = Terminal()
    progress = Progress(Screen(terminal))
    north, south = record("north"), record("south")
    progress.taken(north)
    progress.taken(south)
    progress.answered(north)
    assert "train 1: 1 of 2 stations answered" in terminal.lines[-1]
    progress.answered(south)
    assert terminal.lines[-1] == ""


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
