"""`flower-v6 report`: which page is written where, and what is refused."""

from pathlib import Path

import pytest

from algorithm.cli import main
from algorithm.report.tests.runs import outcome, record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder that a run has filled."""
    (tmp_path / "run.json").write_text(outcome(record("a")).text())
    return tmp_path


def test_the_page_is_written_beside_the_run(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(results)]) == 0
    assert f"the page is {results}/report.html" in capsys.readouterr().out
    assert "digits" in (results / "report.html").read_text()


def test_page_and_crate_are_written_where_they_are_wanted(results: Path) -> None:
    page, crate = results / "pages" / "a.html", results / "run.zip"
    assert main(["report", str(results), "--output", str(page), "--crate", str(crate)]) == 0
    assert page.exists()
    assert crate.exists()


def test_runs_are_compared_on_a_page_in_the_current_folder(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    assert main(["report", "--compare", ".", "run.json"]) == 0
    assert "side by side" in (results / "comparison.html").read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["."], "There is no run.json"),
        (["no-such-folder"], "There is no run.json"),
        ([".", "."], "add --compare"),
        (["--compare", ".", ".", "--crate", "a.zip"], "--crate describes one run"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *options]) == 1
    assert complaint in capsys.readouterr().err
