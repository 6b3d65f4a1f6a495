"""`flower-v6 runs` tells of each run how it ended, and why it cannot be gone on with."""

from argparse import Namespace
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from algorithm.cli.runs import runs
from algorithm.monitoring.screen import Screen
from proxy.central.events import Stage
from proxy.journal.history import Entry
from proxy.journal.journal import Journal
from proxy.system.records import Records

FULL = "The disk is full."


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path)
    journal.begin({"mode": "direct"}, {})
    return journal


@pytest.fixture
def told(journal: Journal, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return what is told of each run, but when it began."""

    def tell() -> list[str]:
        runs(Namespace(journal=journal.folder), Screen(StringIO()))
        return [line.partition(" mode: ")[2] for line in capsys.readouterr().out.splitlines()]

    return tell


def test_a_run_that_has_not_ended_and_one_that_was_begun_anew(
    journal: Journal, told: Callable[[], list[str]]
) -> None:
    assert told() == ["not ended."]
    journal.refuse("It differs.")
    journal.begin({"mode": "direct"}, {})
    assert told() == ["begun anew, because it could not go on. It differs.", "not ended."]


def test_a_run_that_cannot_be_gone_on_with_may_complete_all_the_same(
    journal: Journal, told: Callable[[], list[str]]
) -> None:
    journal.refuse(FULL)
    assert told() == [f"not ended; it cannot be continued. {FULL}"]
    journal.end("completed")
    assert told() == [f"completed; it cannot be continued. {FULL}"]


def test_a_reason_is_one_line_that_a_terminal_does_not_obey(
    journal: Journal, told: Callable[[], list[str]]
) -> None:
    journal.refuse("Group \x1b[2J differs.\nSay the same again.")
    assert told() == ["not ended; it cannot be continued. Group  differs. Say the same again."]


def note(journal: Journal, *events: tuple[str, str, int, str]) -> None:
    """Note that messages were pulled, each by its station, type, step and Flower run."""
    journal.close()
    records = Records(journal.folder / "journal")
    for number, (station, message_type, step, flower_run) in enumerate(events):
        entry = Entry(station, str(number), message_type, "", flower_run, step, 0.0)
        records.append({"at": 0.0, "event": Stage.PULLED, **entry.record()})
    records.close()


def lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runs(Namespace(journal=folder), Screen(StringIO()))
    return capsys.readouterr().out.splitlines()


def test_a_run_that_went_on_has_one_line_for_the_messages_of_a_title_in_their_order(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    note(
        journal,
        *(("north", "train", 1, "9"), ("north", "evaluate", 1, "9"), ("north", "train", 2, "9")),
        *(("south", "train", 1, "9"), ("south", "evaluate", 1, "2"), ("south", "train", 2, "2")),
    )
    assert lines(journal.folder, capsys)[1:] == [
        *("  train 1: 2 pulled", "  evaluate 1: 2 pulled", "  train 2: 2 pulled")
    ]


def test_messages_of_an_attached_superlink_are_told_by_their_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note(Journal(tmp_path), ("north", "train", 1, "9"), ("south", "train", 1, "2"))
    assert lines(tmp_path, capsys) == [
        "An attached SuperLink's messages.",
        *("  run 9, train 1: 1 pulled", "  run 2, train 1: 1 pulled"),
    ]


def test_that_a_journal_has_no_messages_yet_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(tmp_path).close()
    assert lines(tmp_path, capsys) == [f"The journal {tmp_path} holds no run and no message yet."]


def test_a_message_that_was_called_off_has_no_answer(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    note(journal, ("north", "train", 1, "9"), ("south", "train", 1, "9"))
    records = Records(journal.folder / "journal")
    about = {"station": "south", "message": "1", "at": 0.0}
    answer = {"reply": "", "data": "eA==", "objects": {}, "called_off": True}
    records.append({"event": Stage.ANSWERED, **about, **answer})
    records.append({"event": Stage.PUSHED, **about})
    records.close()
    assert lines(journal.folder, capsys)[1:] == ["  train 1: 1 pulled, 1 called off"]
