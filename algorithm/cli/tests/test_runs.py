"""`flower-v6 runs` tells of each run how it ended, and why it cannot be gone on with."""

from argparse import Namespace
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from algorithm.cli.runs import runs
from algorithm.monitoring.screen import Screen
from proxy.journal.journal import Journal

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
