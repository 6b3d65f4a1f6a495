"""A central function's result: what there is to see of a run, and the files that it wrote."""

import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.manifest import ENVIRONMENT_VARIABLE
from algorithm.functions.result import write_result
from algorithm.functions.tables import CHART, ROUNDS, ROWS
from algorithm.monitoring.outcome import Outcome
from algorithm.tests.fabs import MANIFEST
from proxy import strict_json
from proxy.central.report import MessageRecord
from proxy.errors import AppError, CarrierError
from proxy.fleet.metrics import Metrics

PLENTY = 1_000_000


def outcome(*messages: MessageRecord) -> Outcome:
    return Outcome(
        app="me/app 1.0",
        flower_release="1.41.0",
        supernodes="warm",
        stations=["Alpha", "Beta"],
        status="completed",
        messages=list(messages),
    )


def message(station: str, step: int, metrics: Metrics, error: str = "") -> MessageRecord:
    return MessageRecord(
        station, "7", "train", "", f"{station}-{step}", step, metrics=metrics, error=error
    )


def result(
    tmp_path: Path, of: Outcome, files: dict[str, bytes] | None = None, limit: int = PLENTY
) -> Any:
    """Write a result; returns what is in it, also if it was refused."""
    written = tmp_path / "written"
    for name, content in (files or {}).items():
        (written / name).parent.mkdir(parents=True, exist_ok=True)
        (written / name).write_bytes(content)
    try:
        write_result(tmp_path / "result", of, written, limit)
    finally:
        found = json.loads((tmp_path / "result").read_text())
    return found


def test_the_files_that_the_serverapp_wrote_are_in_the_result(tmp_path: Path) -> None:
    files = {"model.npz": bytes(range(256)), "more/notes.txt": b"well"}
    found = result(tmp_path, outcome(), files)
    assert {name: b64decode(each) for name, each in found["files"].items()} == files
    assert found["status"] == "completed"


def test_the_chart_is_the_one_that_the_image_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = outcome(message("Alpha", 1, {"loss": 0.5}))
    assert CHART not in result(tmp_path, of)
    replace(MANIFEST, chart="loss").write(tmp_path / "manifest.json")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "manifest.json"))
    assert result(tmp_path, of)[CHART] == {"round": [1], "loss": [0.5]}


def test_what_is_no_file_of_the_serverapp_is_not_in_the_result(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("secret")
    written = tmp_path / "written"
    (written / "__pycache__").mkdir(parents=True)
    (written / "__pycache__" / "app.pyc").write_text("compiled")
    (written / "empty").mkdir()
    (written / "link").symlink_to(tmp_path / "elsewhere" / "secret")
    (written / "folder").symlink_to(tmp_path / "elsewhere")
    found = result(tmp_path, outcome(), {"model.npz": b"model"})
    assert list(found["files"]) == ["model.npz"]


def test_what_the_server_could_not_store_is_refused_with_its_size_and_the_limit(
    tmp_path: Path,
) -> None:
    files = {"model.npz": b"x" * 30_000, "notes.txt": b"well"}
    refusal = (
        "The ServerApp's files take 30004 bytes; a result can have 15000."
        " They are left out: model.npz, notes.txt."
    )
    with pytest.raises(CarrierError) as refused:
        result(tmp_path, outcome(message("Alpha", 1, {"loss": 0.25})), files, limit=20_000)
    assert refused.value.message == refusal
    left = json.loads((tmp_path / "result").read_text())
    assert (left["status"], left["cause"], left["files"]) == ("failed", refusal, {})
    assert left[ROWS][0]["loss"] == 0.25


def test_the_report_makes_room_for_the_files_and_says_so(tmp_path: Path) -> None:
    model = {"model.npz": b"x" * 30_000}
    many = {f"metric {number}": 0.5 for number in range(1000)}
    of = outcome(*(message("Alpha", step, many) for step in range(3)))
    only_metrics = len(json.dumps(outcome(message("Alpha", 1, many)).members()))
    for limit, left_out in (
        (PLENTY, []),
        (42_000 + 3 * only_metrics, ["metrics", "rounds"]),
        (42_000, ["metrics", "rounds", "messages"]),
    ):
        found = result(tmp_path, of, model, limit)
        assert b64decode(found["files"]["model.npz"]) == model["model.npz"]
        assert (found["status"], found["left_out"]) == ("completed", left_out)
        assert (found["messages"] == []) == ("messages" in left_out)
        for table in (ROWS, ROUNDS):
            assert ("left out" in found[table][0]["error"]) == (table in left_out)
        assert (tmp_path / "result").stat().st_size <= limit


def test_a_result_has_no_more_values_than_those_who_read_it_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are few: what it would take in memory is what counts."""
    monkeypatch.setattr(strict_json, "MOST_VALUES", 1000)
    many = {f"metric {number}": 0.5 for number in range(300)}
    found = result(tmp_path, outcome(message("Alpha", 1, many)), {"model.npz": b"x"})
    assert found["left_out"] == ["metrics", "rounds"]
    assert found["files"].keys() == {"model.npz"}
    assert strict_json.loads((tmp_path / "result").read_bytes()) == found


def test_a_file_whose_name_is_no_text_is_in_the_result(tmp_path: Path) -> None:
    found = result(tmp_path, outcome(), {"caf\udce9.txt": b"well"})
    assert list(found["files"]) == ["caf%E9.txt"]


def test_a_result_that_cannot_be_written_says_how_the_run_ended(tmp_path: Path) -> None:
    with pytest.raises(AppError, match=r"No space left(.|\n)*The run completed"):
        write_result(Path("/dev/full"), outcome(), tmp_path, PLENTY)


def test_a_result_that_just_fits_is_not_larger_than_the_limit(tmp_path: Path) -> None:
    files = {"model.npz": b"x" * 30_000}
    empty = len(json.dumps(result(tmp_path, outcome())))
    limit = empty + 30_000 * 4 // 3 + 1000
    result(tmp_path, outcome(), files, limit)
    assert (tmp_path / "result").stat().st_size <= limit


def test_what_others_wrote_into_a_result_is_cleaned(tmp_path: Path) -> None:
    station = message("Al\x1b[31mpha", 1, {"lo\x1b]0;title\x07ss": 0.5})
    of = outcome(station, message("Beta", 1, {}, error="\x1b[2J" + "no data\n" * 50_000))
    of.log = "\x1b[31mfailed\u202e"
    found = result(tmp_path, of)
    assert found[ROWS][0]["organization"] == "Alpha"
    assert found[ROWS][0]["loss"] == 0.5
    assert found["log"] == "failed"
    assert found["messages"][1]["error"].startswith("no data\nno data")
    assert len(json.dumps(found)) < 10_000
