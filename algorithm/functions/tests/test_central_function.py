"""The central function: what it refuses before anything starts, and the outcome that it leaves."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import ENVIRONMENT_VARIABLE
from algorithm.flower.manifest import ENVIRONMENT_VARIABLE as MANIFEST_VARIABLE
from algorithm.functions import central
from algorithm.functions.central import chosen, log_taker
from algorithm.monitoring.entries import MARK, Entry, read_entries
from algorithm.monitoring.screen import Screen
from algorithm.tests.fabs import MANIFEST
from algorithm.tests.fake_flower import COMPLETED, make_app, make_flower, set_run
from proxy.errors import AppError, BridgeError, CarrierError, UsageError
from proxy.fleet.metrics import Metrics
from proxy.platforms import VANTAGE6_4, VANTAGE6_5, Platform
from proxy.system import records, retry
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.server import Organization
from proxy.vantage6.v4.testing import Failure, FakeServer
from proxy.vantage6.v5.testing import FakeHq

ALPHA, BETA, GAMMA = (
    Organization(number, name, "") for number, name in enumerate(("Alpha", "Beta", "Gamma"), 1)
)
KNOWN = [ALPHA, BETA, GAMMA]


class Central:
    """A central container, in this process, with a Flower that does as it is told.

    Attributes
    ----------
    fake : FakeServer | FakeHq
        The server.
    flower : Path
        Its Flower environment.
    container : Container
        Its contract.
    """

    def __init__(
        self,
        folder: Path,
        fake: FakeServer | FakeHq,
        monkeypatch: pytest.MonkeyPatch,
        platform: Platform = VANTAGE6_4,
    ) -> None:
        self.fake = fake
        image = folder / "image"
        image.mkdir()
        MANIFEST.write(image / "manifest.json")
        make_app(image / "app")
        self.flower = make_flower(folder / "flower")
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(self.flower))
        monkeypatch.setenv(MANIFEST_VARIABLE, str(image / "manifest.json"))
        monkeypatch.chdir(folder)  # to be back after the function went elsewhere
        (folder / "job").mkdir()
        self.container = Container(
            folder / "input",
            folder / "output",
            folder / "job",
            platform=platform,
            jobs_folder=folder / "jobs",
            token=fake.container_token(fake.start_central()),
            server=fake.proxy_url,
        )

    def run(self, kwargs: Any = None) -> Any:
        """Run the function; returns the outcome."""
        payload.write(self.container.input_file, {"method": "central", "kwargs": kwargs})
        with payload.read(self.container.input_file) as task:
            central.main(self.container, task)
        return self.outcome

    def refuses(self, kwargs: Any) -> str:
        """Run the function, which refuses its arguments; returns what it says."""
        with pytest.raises(UsageError) as caught:
            self.run(kwargs)
        assert not self.container.output_file.exists()
        assert not (self.flower / "bin" / "arguments").exists()
        assert "POST task" not in self.fake.requests
        return str(caught.value)

    @property
    def outcome(self) -> Any:
        return json.loads(self.container.output_file.read_text())

    @property
    def submitted(self) -> str:
        """The arguments of `flwr run`."""
        return (self.flower / "bin" / "arguments").read_text()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(lambda _: None) as fake:
        yield fake


@pytest.fixture
def function(tmp_path: Path, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Central:
    return Central(tmp_path, fake, monkeypatch)


# Which organizations


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], [ALPHA, BETA, GAMMA]),
        (["Beta"], [BETA]),
        ([2], [BETA]),
        (["Gamma", 1], [ALPHA, GAMMA]),
        ([3, "Gamma", 3], [GAMMA]),
    ],
)
def test_organizations_are_chosen_by_id_or_name_and_come_in_the_order_of_their_ids(
    wanted: list[int | str], found: list[Organization]
) -> None:
    assert chosen(KNOWN, wanted) == found


@pytest.mark.parametrize("unknown", ["Delta", 4, "2", "beta"])
def test_an_unknown_organization_is_refused_naming_those_that_there_are(unknown: int | str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(KNOWN, ["Alpha", unknown])
    said = f"There is no organization {unknown!r} in the collaboration."
    assert caught.value.message == said
    assert caught.value.hint == "There are: Alpha (1), Beta (2), Gamma (3)."


# What is refused


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ([1], "not a JSON object"),
        ({"round": 3}, "has no argument 'round'"),
        ({"run_config": {"lr": 1}}, "There are: optimizer.name, optimizer.rate, rounds."),
        ({"organizations": ["Delta"]}, "There is no organization 'Delta'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(
    function: Central, kwargs: Any, said: str
) -> None:
    assert said in function.refuses(kwargs)


def test_outside_of_a_vantage6_node_the_function_says_what_it_lacks(function: Central) -> None:
    about = function.container
    function.container = Container(about.input_file, about.output_file, about.shared_folder)
    assert "has no vantage6 token" in function.refuses({})


def test_outside_of_an_image_the_function_says_what_it_lacks(
    function: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MANIFEST_VARIABLE)
    assert "flower-v6 image" in function.refuses({})


def test_a_token_that_is_none_is_an_error(function: Central) -> None:
    function.container = replace(function.container, token="none")  # noqa: S106
    with pytest.raises(CarrierError, match="no token of a vantage6 node"):
        function.run()


# The outcome


def test_a_run_that_completes_leaves_what_became_of_it(function: Central) -> None:
    outcome = function.run({"organizations": ["Gamma", "Alpha"], "supernodes": "per-round"})
    assert (outcome["status"], outcome["cause"]) == ("completed", "")
    assert outcome["app"] == "me/app 1.0"
    assert outcome["stations"] == ["Alpha", "Gamma"]
    assert outcome["supernodes"] == "per-round"
    assert outcome["flower_release"] == "1.41.0"


def test_the_run_config_of_the_task_is_that_of_the_run(function: Central) -> None:
    function.run({"run_config": {"rounds": 5, "optimizer.name": "a b"}, "supernodes": "per-round"})
    assert "--run-config rounds=5 optimizer.name=" in function.submitted


def test_each_organization_is_a_supernode_and_a_warm_one_gets_its_host(
    function: Central, fake: FakeServer
) -> None:
    function.run({"idle_limit": 30})
    hosts = [task for task in fake.tasks.values() if task.parent is not None]
    assert [task.asked.name for task in hosts] == ["host: Alpha", "host: Beta", "host: Gamma"]
    assert [task.input["kwargs"]["idle_limit"] for task in hosts] == [30] * 3
    assert [task.input["kwargs"]["mode"] for task in hosts] == ["bridge"] * 3
    assert {task.asked.databases for task in hosts} == {("default",)}


def test_what_the_serverapp_writes_into_its_working_directory_comes_with_the_outcome(
    function: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_run(function.flower, "mkdir plots; echo model > model.npz; echo > plots/a", [COMPLETED])
    outcome = function.run({"supernodes": "per-round"})
    assert sorted(outcome["files"]) == ["model.npz", "plots/a"]


def test_a_run_that_fails_is_an_error_and_leaves_its_outcome(function: Central) -> None:
    failed = {"run-id": "42", "status": "finished:failed", "status-details": "No clients."}
    set_run(function.flower, "echo half > model.npz; echo Traceback", [failed])
    with pytest.raises(AppError, match="No clients") as raised:
        function.run({"supernodes": "per-round"})
    # The end of the app's log stands in the function's own already.
    assert "Traceback" not in str(raised.value)
    assert function.outcome["status"] == "failed"
    assert "No clients." in function.outcome["cause"]
    assert "Traceback" in function.outcome["log"]
    assert list(function.outcome["files"]) == ["model.npz"]


def test_an_organization_without_a_node_fails_the_run_by_its_name(
    function: Central, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.system.retry._PAUSE_SECONDS", (0.01, 0.01))
    del fake.collaborations[1].nodes[2]
    with pytest.raises(BridgeError, match="does not create a task for Beta"):
        function.run()
    assert function.outcome["status"] == "failed"
    assert "Beta" in function.outcome["cause"]


# A function that its node starts again


@pytest.mark.parametrize("fails", [False, True])
def test_a_function_that_is_started_again_after_its_end_ends_in_the_same_way_again(
    function: Central, fails: bool
) -> None:
    status = "finished:failed" if fails else "finished:completed"
    set_run(function.flower, "echo > model.npz", [{"run-id": "42", "status": status}])
    outcomes, asked = [], []
    for _ in range(2):
        with pytest.raises(AppError, match="The run failed") if fails else nullcontext():
            function.run({"supernodes": "per-round"})
        outcomes.append(function.container.output_file.read_bytes())
        function.container.output_file.unlink()
        asked.append(function.fake.requests[:])
        set_run(function.flower, "exit 1", [])  # it must not be submitted again
    assert outcomes[0] == outcomes[1]
    # Whether it is the same task, and nothing else.
    [again] = asked[1][len(asked[0]) :]
    assert again == asked[0][0]


@pytest.fixture
def _ends_at_sigterm() -> Iterator[None]:
    """Have SIGTERM end this process as it ends that of a function."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_ends_at_sigterm")
def test_a_function_that_was_told_to_end_goes_on_when_it_is_started_again(
    function: Central,
) -> None:
    set_run(function.flower, f"kill -TERM {os.getpid()}; sleep 600", [])
    with pytest.raises(SystemExit):
        function.run({"supernodes": "per-round"})
    assert function.outcome["status"] == "cancelled"
    function.container.output_file.unlink()
    set_run(function.flower, "", [COMPLETED])
    assert function.run({"supernodes": "per-round"})["status"] == "completed"
    [journal] = function.container.shared_folder.glob("central-journal-*/journal")
    assert [each["event"] for each in records.read(journal)] == ["named", "run", "resumed", "ended"]


@pytest.mark.usefixtures("_ends_at_sigterm")
@pytest.mark.parametrize("killed", [False, True])
def test_stations_hear_of_the_end_in_vantage6_5_unless_the_function_may_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    monkeypatch.setattr("algorithm.functions.central._identity", lambda *_: "this run")
    monkeypatch.setattr("algorithm.functions.central._LINGER_SECONDS", 0.0)
    with FakeHq() as fake:
        function = Central(tmp_path, fake, monkeypatch, VANTAGE6_5)
        [central_task] = fake.tasks.values()
        set_run(function.flower, f"kill -TERM {os.getpid()}; sleep 600", [])
        if killed:
            central_task.status = "killed by user"
        with pytest.raises(SystemExit):
            function.run({"supernodes": "per-round"})
        told = [each.asked.input["method"] for each in fake.tasks.values() if each.asked.input]
    assert told == ["central", *(["end"] * len(KNOWN) if killed else [])]


def test_half_an_outcome_is_none_and_the_run_begins_anew(
    function: Central, caplog: pytest.LogCaptureFixture
) -> None:
    function.run({"supernodes": "per-round"})
    [left] = function.container.shared_folder.glob("central-result-*.json")
    for torn in ("", '{"status": "comp', "[]"):
        left.write_text(torn)
        function.container.output_file.unlink()
        caplog.clear()
        assert function.run({"supernodes": "per-round"})["status"] == "completed"
        assert f"{left} is damaged" in caplog.text
        assert left.read_bytes() == function.container.output_file.read_bytes()


def test_a_later_run_that_vantage6_gives_the_same_numbers_is_a_run_of_its_own(
    function: Central,
) -> None:
    set_run(function.flower, "echo first > model.npz", [COMPLETED])
    first = function.run({"supernodes": "per-round"})
    (task,) = (each for each in function.fake.tasks.values() if each.asked.input)
    task.created_at = "2026-01-31T11:00:00"
    set_run(function.flower, "echo second > model.npz", [COMPLETED])
    assert function.run({"supernodes": "per-round"})["files"] != first["files"]


def test_a_function_that_is_started_before_its_node_waits_for_it(
    function: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PAUSE_SECONDS", (0.01, 0.01))
    (task,) = function.fake.tasks
    function.fake.fail_next(Failure.LOST, f"GET task/{task}", times=3)
    assert function.run({"supernodes": "per-round"})["status"] == "completed"


# The log


STARTED = Entry(event="started", at=1.0, stations=["Alpha"])
ANSWERED = Entry(event="answered", at=2.0, station="Alpha", metrics={"loss": 0.5})


def test_the_log_carries_what_happens_for_those_who_watch(
    function: Central, capsys: pytest.CaptureFixture[str]
) -> None:
    function.run()
    lines = capsys.readouterr().out.splitlines()
    entries = list(read_entries(each.removeprefix(MARK) for each in lines if MARK in each))
    assert [entry.event for entry in entries] == ["started", "ended"]
    assert entries[0].stations == ["Alpha", "Beta", "Gamma"]
    assert entries[1].status == "completed"


@pytest.mark.parametrize(("encrypted", "metrics"), [(False, {"loss": 0.5}), (True, {})])
def test_the_log_of_an_encrypted_collaboration_tells_nothing_of_a_stations_data(
    encrypted: bool, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    take = log_taker(Screen(sys.stdout), encrypted)
    failed = replace(ANSWERED, metrics={}, error_code=2, error="ValueError: 4711 has no age")
    for entry in (STARTED, ANSWERED, failed):
        take(entry)
    lines = capsys.readouterr().out.splitlines()
    entries = list(read_entries(each.removeprefix(MARK) for each in lines))
    error = "" if encrypted else failed.error
    assert entries == [STARTED, replace(ANSWERED, metrics=metrics), replace(failed, error=error)]


def test_entries_do_not_fill_the_log_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    take = log_taker(Screen(sys.stdout), encrypted=False)
    names = {f"{'m' * 190}{number}": 0.5 for number in range(1000)}
    for at in range(300):
        take(Entry(event="answered", at=at, station="Alpha", metrics=names))
    lines = capsys.readouterr().out.splitlines()
    assert 30 << 20 < sum(map(len, lines)) <= 32 << 20
    assert lines[-1].startswith("flower-v6 | the log has no more events")
    assert all(line.startswith(MARK) for line in lines[:-1])
