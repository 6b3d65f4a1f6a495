"""What the five-minute pages tell people to type does what they say, from top to bottom."""

import json
from pathlib import Path

import pytest

from integration_tests.reader import Reader, blocks, shown_by
from integration_tests.vantage6.command import RUN_SECONDS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Somebody in a folder that looks like a checkout."""
    (tmp_path / "integration_tests").symlink_to(ROOT / "integration_tests")
    return Reader(tmp_path)


def follow(reader: Reader, page: str) -> str:
    """Type all commands of a page, in one shell; returns what is shown."""
    commands = blocks(ROOT / "docs" / page, "sh")
    assert commands, f"{page} has no commands"
    with reader.typing("".join(commands)) as shell:
        return shown_by(shell, RUN_SECONDS)


def test_a_researcher_trains_a_model_and_sees_how_it_went(reader: Reader) -> None:
    shown = follow(reader, "start-researcher.md")
    assert "train 3: 2 of 2 stations answered" in shown
    assert (reader.folder / "results/model.pt").exists()
    assert "accuracy" in (reader.folder / "results/report.html").read_text()
    assert "results-slow" in (reader.folder / "comparison.html").read_text()


def test_an_owner_sees_what_is_allowed_and_what_is_refused(reader: Reader) -> None:
    follow(reader, "start-station.md")
    allowed = json.loads((reader.folder / "allowed/run.json").read_text())
    refused = json.loads((reader.folder / "refused/run.json").read_text())
    assert {each["error"] for each in allowed["messages"]} == {""}
    assert refused["messages"]
    for each in refused["messages"]:
        assert "Refused by the station's policy" in each["error"]
        assert "result" in each["error"]
    assert "Refused by the station" in (reader.folder / "refused/report.html").read_text()


def test_an_operator_checks_the_release_and_sees_a_run(reader: Reader) -> None:
    shown = follow(reader, "start-operator.md")
    assert "flwr supernode register" in shown
    assert (reader.folder / "keys").is_dir()
    assert "Completed in" in (reader.folder / "results/report.html").read_text()
