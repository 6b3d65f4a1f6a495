"""The page: all that others wrote is text on it, and it stays small."""

import hashlib
import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from algorithm.monitoring.entries import ENDED, STARTED, Entry
from algorithm.monitoring.outcome import Outcome
from algorithm.report.compare import comparison_of
from algorithm.report.page import page_of
from algorithm.report.reading.native import read_compared
from algorithm.report.reading.results import read_results
from algorithm.report.tests.runs import SECONDS, outcome, record
from proxy.errors import AppError, BridgeError, UsageError

HOSTILE = (
    "</title></style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e"
)
MOST_BYTES = 1_500_000


class Elements(HTMLParser):
    """Collects the elements of a page, and what they refer to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)


def page(tmp_path: Path, run: Outcome | dict[str, Any]) -> str:
    """Return the page of a run that left this `run.json`."""
    text = run.text() if isinstance(run, Outcome) else json.dumps(run)
    (tmp_path / "run.json").write_text(text)
    return page_of(read_results(tmp_path))


def text_of(page: str) -> str:
    """Return what a page says, without its elements."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_a_page_says_how_the_run_went(tmp_path: Path) -> None:
    said = text_of(
        page(
            tmp_path,
            outcome(
                record("North", metrics={"loss": 2.0, "num-examples": 10}, bytes_out=86_600),
                record("South", metrics={"loss": 1.0, "num-examples": 30}),
                record("North", 2, metrics={"loss": 0.5, "num-examples": 10}),
                record("South", 2, error="exit code 9", error_code=8),
            ),
        )
    )
    for part in (
        "Completed in 1 min 0 s: 4 messages in 2 steps at 2 stations, 1 error reply.",
        "86.6 kB",
        "1 message, code 8 South (1); train 2 exit code 9",
        "1 1.25 1 2 2 1",  # round, mean, lowest, highest, North's and South's loss
        "App&#39;s FAB hash (SHA-256) " + "ab" * 32,
        "flwr 1.41.0",
    ):
        assert part in said


def test_the_cause_of_a_failed_run_and_its_log_are_there(tmp_path: Path) -> None:
    said = text_of(page(tmp_path, outcome(status="failed", cause="No disk.", log="line 9")))
    assert "Why it failed No disk." in said
    assert "line 9" in said


def test_the_files_that_a_run_left_are_there_with_their_hashes(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.pt").write_bytes(b"weights")
    (tmp_path / "link-to-elsewhere").symlink_to("/etc/hostname")
    said = text_of(page(tmp_path, outcome(record("a"))))
    assert f"models/a.pt 7 B {hashlib.sha256(b'weights').hexdigest()}" in said
    assert "link-to-elsewhere" not in said


def test_what_policies_said_is_there(tmp_path: Path) -> None:
    (tmp_path / "North-functions.log").write_text(
        "INFO policy: run 7 is allowed: app (FAB) 5b3f, overriding nothing\n" * 2
        + "WARNING message 17d2 failed: Refused by the station's policy: the app is 91aa.\n"
    )
    said = text_of(page(tmp_path, outcome(record("a"))))
    assert said.count("run 7 is allowed: app (FAB) 5b3f") == 1
    assert "Refused by the station&#39;s policy: the app is 91aa." in said


def test_all_that_others_wrote_is_text(tmp_path: Path) -> None:
    hostile = record(
        HOSTILE,
        message_type=HOSTILE,
        metrics={HOSTILE: 1.0, "loss": 2.0},
        seconds={HOSTILE: 1.0, **SECONDS},
        fab_hash=HOSTILE,
    )
    failed = record(HOSTILE, 2, message_type=HOSTILE, error=HOSTILE)
    about = {"status": "failed", "cause": HOSTILE, "log": HOSTILE, "left_out": [HOSTILE]}
    run = outcome(hostile, failed, **about)
    run.run_config = {HOSTILE: HOSTILE}
    run.environment = run.packages = {HOSTILE: HOSTILE}
    run.app = run.flower_run = run.flower_release = run.supernodes = run.mode = HOSTILE
    (tmp_path / "serverapp.log").write_text(
        f"ServerApp-side Evaluate Metrics:\n{{1: {{{HOSTILE!r}: '1.0'}}}}\n"
    )
    (tmp_path / f"{HOSTILE.replace('/', '')}-functions.log").write_text(f"policy: {HOSTILE}\n")
    shown = page(tmp_path, run)
    results = read_results(tmp_path)
    for each in (shown, comparison_of([results, results])):
        elements = Elements(each)
        assert elements.names.isdisjoint({"script", "img", "iframe", "link", "object"})
        assert not {name for name in elements.attributes if name.startswith("on")}
        assert elements.attributes.isdisjoint({"src", "href", "srcset", "action"})
        assert "\x1b" not in each
        assert "\u202e" not in each


def test_a_page_names_no_other_place(tmp_path: Path) -> None:
    shown = page(tmp_path, outcome(record("a")))
    assert "default-src 'none'" in shown
    assert not re.search(r"https?://|@import|url\(", shown)


@pytest.mark.parametrize(
    ("stations", "rounds"), [(1, 600), (600, 1), (50, 50)], ids=["long", "wide", "square"]
)
def test_a_page_stays_small(tmp_path: Path, stations: int, rounds: int) -> None:
    messages = [
        record(f"station-{s}", r, kind, metrics={"loss": s / r, "accuracy": r / (r + s)})
        for r in range(1, rounds + 1)
        for kind in ("train", "evaluate")
        for s in range(1, stations + 1)
    ]
    assert len(page(tmp_path, outcome(*messages)).encode()) < MOST_BYTES


def test_a_page_with_a_thousand_metrics_stays_small(tmp_path: Path) -> None:
    metrics = {f"metric-{number}": 1.0 / number for number in range(1, 1001)}
    shown = page(tmp_path, outcome(*(record(s, metrics=metrics) for s in ("a", "b"))))
    assert len(shown.encode()) < MOST_BYTES
    assert "976 more metrics: see run.json." in shown


@pytest.mark.parametrize(
    "run",
    [
        outcome(),
        outcome(record("a", at=0.0, seconds={})),
        outcome(record("a", seconds={"carry": -5.0, "clientapp": 1e300}, at=1e300)),
        outcome(record("a", bytes_out=-5, bytes_back=2**64, clientapp_runtime=-1.0)),
        outcome(record("a", step=-(2**63), metrics={"loss": -1.7e308})),
        outcome(record("", message_type="")),
        outcome(record("a"), seconds=-1.0),
        outcome(record("a", seconds={"drain": 5e-324})),
    ],
)
def test_odd_numbers_and_names_have_a_page(tmp_path: Path, run: Outcome) -> None:
    assert "How" in page(tmp_path, run) or "What ran" in page(tmp_path, run)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[" + b"1," * 3_000_000 + b"1]",
        outcome().text().replace('"schema": 1', '"schema": 99').encode(),
        outcome().text().replace('"app": "digits", ', "").encode(),
        outcome(record("a")).text().replace("60.0", "NaN").encode(),
        outcome(record("a")).text().replace("60.0", "1" + "0" * 400).encode(),
    ],
)
def test_what_is_no_run_json_is_one_clear_error(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(AppError, match=r"run\.json cannot be read as what a run left: "):
        read_results(tmp_path)


def test_a_folder_that_no_run_has_filled_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no run\.json at "):
        read_results(tmp_path)


def test_a_run_json_by_itself_will_do(tmp_path: Path) -> None:
    page(tmp_path, outcome(record("a")))
    results = read_results(tmp_path / "run.json")
    assert results.files == ()
    assert "digits" in page_of(results)


def test_a_run_that_was_killed_has_its_events(tmp_path: Path) -> None:
    message = {"schema": 1, "station": "a", "flower_run": "7", "message_type": "train", "step": 1}
    lines = [
        {"schema": 1, "event": "started", "at": 100.0, "app": "digits", "stations": ["a", "b"]},
        *({**message, "event": "pulled", "at": 101.0, "message_id": each} for each in "mn"),
        {**message, "event": "drained", "at": 102.0, "message_id": "m", "seconds": {"drain": 1.0}}
        | {"fab_hash": "ab" * 32},
        {**message, "event": "answered", "at": 103.0, "message_id": "m", "metrics": {"loss": 0.5}},
        {**message, "event": "pushed", "at": 104.0, "message_id": "m"},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"schema": 1, "ev'
    (tmp_path / "events.jsonl").write_text(text)
    results = read_results(tmp_path)
    answered, waiting = results.outcome.messages
    assert (answered.error, answered.metrics, answered.seconds) == ("", {"loss": 0.5}, {"drain": 1})
    assert waiting.error == "no reply so far: the message was pulled"
    assert (results.outcome.stations, results.outcome.seconds) == (["a", "b"], 4.0)
    assert "it was killed, or still goes on" in page_of(results)
    assert results.fab_hashes == ("ab" * 32,)


def test_more_messages_than_fit_into_memory_are_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("algorithm.report.reading.unfinished._MOST_MESSAGES", 2)
    pulled = [Entry(event="pulled", at=1.0, station="a", message_id=each) for each in "mnno"]
    assert len(left_events(tmp_path, *pulled[:3]).messages) == 2
    with pytest.raises(AppError, match="more than 2 messages"):
        left_events(tmp_path, *pulled)


def test_logs_of_an_earlier_run_say_nothing_of_one_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "serverapp.log").write_text("ServerApp-side Evaluate Metrics:\n{1: {'a': '1.0'}}")
    (tmp_path / "north-functions.log").write_text("policy: allowed\n")
    left_events(tmp_path, Entry(event=STARTED, at=1.0, stations=["north"]))
    results = read_results(tmp_path)
    assert (results.server, results.verdicts) == ({}, {})


def left_events(folder: Path, *entries: Entry) -> Outcome:
    """Return what the events say that a run has left."""
    (folder / "events.jsonl").write_text("".join(f"{each.text()}\n" for each in entries))
    return read_results(folder).outcome


def test_what_ended_before_another_start_is_no_end(tmp_path: Path) -> None:
    started = Entry(event=STARTED, at=1.0, stations=["a"])
    ended = Entry(event=ENDED, at=2.0, status="cancelled", cause="Stopped by Ctrl-C.")
    assert left_events(tmp_path, started, ended).cause == "Stopped by Ctrl-C."
    again = left_events(tmp_path, started, ended, replace(started, at=3.0))
    assert (again.status, "it was killed" in again.cause) == ("failed", True)


def test_an_end_that_nobody_knows_is_a_failure(tmp_path: Path) -> None:
    ended = Entry(event=ENDED, at=2.0, status='"><script>')
    assert left_events(tmp_path, ended).status == "failed"


def test_runs_are_compared_side_by_side(tmp_path: Path) -> None:
    runs = []
    for mode, seconds in (("bridge", 60.0), ("direct", 6.0)):
        (tmp_path / mode).mkdir()
        loss = [record("a", step, metrics={"loss": 1 / step}) for step in (1, 2)]
        page(tmp_path / mode, outcome(*loss, mode=mode, seconds=seconds))
        runs.append(read_results(tmp_path / mode))
    said = text_of(comparison_of(runs))
    assert "Duration 1 min 0 s 6.0 s" in said
    assert "Round bridge direct 1 1 1 2 0.5 0.5" in said


NATIVE = """\
INFO :      Strategy execution finished in 45.21s
INFO :      Final results:
INFO :      \tAggregated ClientApp-side Train Metrics:
INFO :      \t{1: {'loss': '2.0000e+00'}, 2: {'loss': '1.0000e+00'}}
INFO :
INFO :      \tAggregated ClientApp-side Evaluate Metrics:
INFO :      \t{}
INFO :
INFO :      \tServerApp-side Evaluate Metrics:
INFO :      \t{0: {'accuracy': '1.0000e-01'}, 1: {'accuracy': '9.0000e-01'}}
INFO :
"""


def test_a_run_of_flower_by_itself_is_compared_by_its_log(tmp_path: Path) -> None:
    (tmp_path / "bridge").mkdir()
    loss = [record("a", step, metrics={"loss": 2 / step}) for step in (1, 2)]
    page(tmp_path / "bridge", outcome(*loss))
    (tmp_path / "bridge/serverapp.log").write_text(NATIVE.replace("45.21", "30.00"))
    (tmp_path / "natively.log").write_text(NATIVE)
    runs = [read_compared(tmp_path / name) for name in ("bridge", "natively.log")]
    said = text_of(comparison_of(runs))
    assert "Flower by itself: its strategy took 45.2 s." in said
    assert "Flower's strategy took 30.0 s 45.2 s" in said.replace("&#39;", "'")
    assert "Mode bridge native" in said
    assert "Round bridge natively 1 2 2 2 1 1" in said
    assert "Round bridge natively 0 0.1 0.1 1 0.9 0.9" in said


def test_a_log_that_tells_of_no_end_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("INFO :      [ROUND 1/3]\n")
    with pytest.raises(AppError, match="cannot be read as what a run left"):
        read_compared(tmp_path / "run.log")


def test_a_comparison_names_what_of_the_run_config_differs(tmp_path: Path) -> None:
    for name, rate in (("slow", 0.1), ("fast", 0.5)):
        (tmp_path / name).mkdir()
        page(tmp_path / name, outcome(record("a"), run_config={"rate": rate, "rounds": 3}))
    said = text_of(comparison_of([read_results(tmp_path / name) for name in ("slow", "fast")]))
    assert "rate (run config) 0.1 0.5" in said
    assert "rounds" not in said


def test_a_page_says_on_what_a_run_ran_and_with_which_config(tmp_path: Path) -> None:
    run = outcome(
        record("a"),
        run_config={"rate": 0.1, "deep.on": True},
        environment={"python": "3.11.2", "system": "Debian"},
        packages={"torch": "2.13.0"},
    )
    said = text_of(page(tmp_path, run))
    assert "Python 3.11.2 System Debian" in said
    assert "Run config deep.on true rate 0.1" in said
    assert "environment torch 2.13.0" in said


@pytest.mark.parametrize("count", [1, 9])
def test_not_every_number_of_runs_can_be_compared(tmp_path: Path, count: int) -> None:
    page(tmp_path, outcome(record("a")))
    with pytest.raises(UsageError, match="takes 2 to 8 runs"):
        comparison_of([read_results(tmp_path)] * count)


def test_without_jinja2_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(BridgeError, match=r"flower-v6\[report\]"):
        page(tmp_path, outcome(record("a")))


def test_numbers_that_json_lacks_never_reach_a_page(tmp_path: Path) -> None:
    shown = page(tmp_path, outcome(record("a", metrics={"loss": math.nan}), seconds=math.inf))
    assert "nan" not in text_of(shown).lower().split()
