"""Pages and crates as files: what is written, and what is never overwritten."""

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from algorithm.report.crate import write_crate
from algorithm.report.page import page_of
from algorithm.report.reading.results import Results, read_results
from algorithm.report.tests.runs import outcome, record
from algorithm.report.write import write_page
from proxy.errors import AppError, UsageError


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """What a run left: a model beside its run.json."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "run.json").write_text(outcome(record("a"), flower_run="7").text())
    (folder / "model.pt").write_bytes(b"weights")
    return read_results(folder)


def test_a_page_replaces_an_older_one_and_no_other_file(results: Results, tmp_path: Path) -> None:
    page, path = page_of(results), tmp_path / "new" / "report.html"
    write_page(page, path)
    write_page(page, path)
    assert path.read_text() == page
    path.write_text("<p>The app's own.</p>")
    with pytest.raises(UsageError, match="is there already"):
        write_page(page, path)
    assert "own" in path.read_text()


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AppError, match="cannot be written"):
        write_page("", tmp_path / "file" / "report.html")


def entities(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a crate describes, by their ids."""
    with zipfile.ZipFile(path) as crate:
        graph = json.loads(crate.read("ro-crate-metadata.json"))["@graph"]
    return {each["@id"]: each for each in graph}


def test_a_crate_has_all_files_and_says_what_they_are(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    write_crate(results, page_of(results), path)
    with zipfile.ZipFile(path) as crate:
        assert {"run.json", "model.pt", "report.html"} <= set(crate.namelist())
        assert crate.read("model.pt") == b"weights"
    described = entities(path)
    run = described["#run-7"]
    assert run["@type"] == "CreateAction"
    assert run["instrument"] == {"@id": "#app"}
    assert {each["@id"] for each in run["result"]} == {"run.json", "model.pt"}
    assert run["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert described["./"]["license"] == {"@id": "#licence"}  # RO-Crate demands one
    assert run["endTime"] == "2026-01-01T00:00:14+00:00"
    assert described["model.pt"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert described["#app"]["identifier"] == "sha256:" + "ab" * 32


def test_of_many_files_a_page_has_some_and_a_crate_all(results: Results, tmp_path: Path) -> None:
    for number in range(300):
        (results.folder / f"part-{number}").touch()
    many = read_results(results.folder)
    page, path = page_of(many), tmp_path / "run.zip"
    assert "The first 200 of 302 files." in page
    write_crate(many, page, path)
    with zipfile.ZipFile(path) as crate:
        assert {f"part-{number}" for number in range(300)} <= set(crate.namelist())


def test_a_crate_is_never_written_over_another_file(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        write_crate(results, "", path)
    with pytest.raises(UsageError, match="no name of a zip file"):
        write_crate(results, "", tmp_path / "run.tar")


def test_without_rocrate_one_sentence_says_what_to_install(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    with pytest.raises(UsageError, match=r"flower-v6\[report\]"):
        write_crate(results, "", tmp_path / "run.zip")
