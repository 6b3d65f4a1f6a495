"""A run from start to end: what counts as success, and what is told of a failure."""

import io
import json
import shutil
import zipfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from algorithm.flower.app import check_app
from algorithm.flower.environment import Flower
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.runs.on_superlink import SuperLinkRun
from algorithm.runs.resuming import run_on_journal
from algorithm.runs.run import run_app, write_outcome
from algorithm.runs.stations import LocalStations, local_stations
from algorithm.tests.fake_flower import COMPLETED, SUPERLINK, make_app, make_flower, set_run
from proxy.carriers import Carrier
from proxy.central.memory import Differs
from proxy.central.report import MessageRecord
from proxy.errors import AppError, BridgeError, FlowerError, UsageError
from proxy.journal.journal import Journal
from proxy.tests.helpers import NOBODYS_UID, needs_root


class Bench:
    """All that a run needs: an app, a Flower that does as it is told, two stations."""

    def __init__(self, folder: Path, superlink: str = SUPERLINK) -> None:
        self.app = make_app(folder / "an app")
        self.flower = make_flower(folder / "flower", superlink=superlink)
        self.folder = folder / "workspace"
        self.folder.mkdir()
        self.shown = io.StringIO()
        self.outcome = Outcome(str(self.app), "1.41.0", "per-round", ["station-1", "station-2"])

    def run(self, *run_config: str, journal: Journal | None = None) -> None:
        flower = Flower(self.flower)
        stations = LocalStations(local_stations(2, []), flower, deadline=60.0, warm=False)
        about = (self.app, flower, self.folder, Screen(self.shown), self.outcome, stations)
        run_app(SuperLinkRun(*about, run_config, journal=journal))


def clear(folder: Path) -> None:
    """Empty a folder."""
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# Is it an app?


def test_an_app_with_both_components_is_one(tmp_path: Path) -> None:
    check_app(make_app(tmp_path / "app"))


def test_a_folder_that_is_not_there_is_no_app(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="no such folder"):
        check_app(tmp_path / "app")


def test_a_file_is_no_app(tmp_path: Path) -> None:
    (tmp_path / "app").touch()
    with pytest.raises(AppError):
        check_app(tmp_path / "app")


def test_a_folder_without_a_description_is_no_app(tmp_path: Path) -> None:
    with pytest.raises(AppError, match=r"no pyproject\.toml"):
        check_app(tmp_path)


@pytest.mark.parametrize(
    "description",
    [
        "",
        '[tool.poetry]\nname = "app"',
        '[tool.flwr.app.components]\nserverapp = "app:server"',
        "[tool.flwr.app]\ncomponents = 1",
        "[tool]\nflwr = 1",
        "tool = 1",
    ],
)
def test_a_description_without_both_components_is_no_apps(tmp_path: Path, description: str) -> None:
    (tmp_path / "pyproject.toml").write_text(description)
    with pytest.raises(AppError, match="names no serverapp and clientapp"):
        check_app(tmp_path)


@pytest.mark.parametrize("description", [b"[tool", b"name = 'caf\xe9'", b"\x00"])
def test_a_description_that_cannot_be_read_is_no_apps(tmp_path: Path, description: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(description)
    with pytest.raises(AppError, match="cannot be read"):
        check_app(tmp_path)


# A run


def test_a_run_that_flower_calls_completed_is_completed(bench: Bench) -> None:
    bench.run()
    assert bench.outcome.status == "completed"
    assert bench.outcome.flower_run == "42"
    assert bench.outcome.cause == bench.outcome.log == ""


def test_the_serverapps_log_is_shown_and_kept(bench: Bench) -> None:
    bench.run()
    assert bench.shown.getvalue().splitlines()[:2] == ["loading", "training"]
    assert (bench.folder / "serverapp.log").read_text() == "loading\ntraining\n"


def test_the_stations_register_before_the_app_is_submitted_and_leave_afterwards(
    bench: Bench,
) -> None:
    set_run(bench.flower, 'cp "$FLWR_HOME/calls" "$folder/calls"', [COMPLETED])
    bench.run()
    before = (bench.flower / "bin" / "calls").read_text()
    assert before.count("/activate-node") == 2
    assert "/unregister-node" not in before
    after = (bench.folder / "flwr" / "calls").read_text()
    assert after.count("/unregister-node") == 2


def test_flower_gets_a_copy_of_the_app_and_the_run_config(bench: Bench) -> None:
    set_run(bench.flower, 'echo changed > "$2/pyproject.toml"', [COMPLETED])
    bench.run("rounds=3", "model='a b'")
    arguments = (bench.flower / "bin" / "arguments").read_text()
    assert "--run-config rounds=3 --run-config model='a b'" in arguments
    assert "tool.flwr" in (bench.app / "pyproject.toml").read_text()
    assert (bench.flower / "bin" / "app" / "app.py").exists()


def test_a_run_that_failed_is_an_error_that_says_why_and_shows_its_log(bench: Bench) -> None:
    failed = {"run-id": "42", "status": "finished:failed", "status-details": "No clients."}
    set_run(bench.flower, "echo loading; echo Traceback", [failed])
    with pytest.raises(AppError, match="The run failed: No clients") as caught:
        bench.run()
    assert "Traceback" in caught.value.hint
    assert bench.outcome.status == "failed"
    assert bench.outcome.cause == "The run failed: No clients."
    assert bench.outcome.log == "loading\nTraceback"
    assert bench.outcome.flower_run == "42"


@pytest.mark.parametrize(
    ("status", "details"),
    [
        ("finished:stopped", {}),
        ("finished:failed", {"status-details": ""}),
        ("finished:failed", {"status-details": "N/A"}),
    ],
)
def test_any_other_end_than_completed_is_a_failure(
    bench: Bench, status: str, details: dict[str, str]
) -> None:
    set_run(bench.flower, "true", [{"run-id": "42", "status": status, **details}])
    with pytest.raises(AppError, match=f"The run failed: Flower says: {status}"):
        bench.run()


def test_that_only_flwr_run_was_killed_is_said(bench: Bench) -> None:
    running = {"run-id": "42", "status": "running", "status-details": "N/A"}
    set_run(bench.flower, "echo training; kill -KILL $$", [running])
    with pytest.raises(AppError, match="Flower still calls the run 'running'") as caught:
        bench.run()
    assert caught.value.message.startswith("`flwr run` ended with exit code 137, but")
    assert caught.value.hint == "The end of its log:\ntraining"


def test_where_flwr_run_was_killed_a_journal_goes_on(bench: Bench, tmp_path: Path) -> None:
    set_run(bench.flower, "exit 1", [{"run-id": "42", "status": "running"}])
    with (
        closing(Journal(tmp_path / "journal")) as journal,
        pytest.raises(AppError, match="Call the command again, and the run goes on"),
    ):
        bench.run(journal=journal)


def test_an_app_that_flower_does_not_accept_is_an_error_with_its_words(bench: Bench) -> None:
    set_run(bench.flower, "echo 'No such component'; exit 1", [])
    with pytest.raises(AppError, match=r"did not accept the app\.(.|\n)*No such component"):
        bench.run()


@pytest.mark.parametrize("listing", ["", "{}", "[]"])
def test_a_flower_that_does_not_say_how_the_run_ended_is_an_error(
    bench: Bench, listing: str
) -> None:
    set_run(bench.flower, "true", listing)
    with pytest.raises(FlowerError, match="did not report how the run ended"):
        bench.run()


def test_a_superlink_that_does_not_start_is_an_error_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, superlink="#!/bin/sh\necho no room; exit 3\n")
    with pytest.raises(FlowerError, match=r"exit code 3\.\nno room"):
        bench.run()
    assert "no room" in bench.outcome.cause


@needs_root
def test_a_port_that_another_user_took_is_not_taken_for_our_superlink(tmp_path: Path) -> None:
    # Who may use files is the same user for the kernel as who makes a socket.
    stranger = SUPERLINK.replace(
        "server =",
        f"import ctypes, encodings.idna; as_user = ctypes.CDLL(None).setfsuid\n"
        f"as_user({NOBODYS_UID}); server =",
    ).replace("\nwith open(", "\nas_user(0)\nwith open(")
    bench = Bench(tmp_path, superlink=stranger)
    with pytest.raises(FlowerError, match="Another user of this machine listens at"):
        bench.run()
    # Nothing was said to it, and no app was submitted.
    assert not (bench.folder / "flwr" / "calls").exists()
    assert not (bench.flower / "bin" / "arguments").exists()


def test_a_superlink_that_ends_in_the_middle_ends_the_run(bench: Bench) -> None:
    set_run(bench.flower, 'kill -KILL $(cat "$FLWR_HOME/superlink.pid"); sleep 600', [COMPLETED])
    with pytest.raises(FlowerError, match="SuperLink ended"):
        bench.run()


def test_the_time_is_taken_however_it_ends(bench: Bench) -> None:
    set_run(bench.flower, "true", [])
    with pytest.raises(BridgeError):
        bench.run()
    assert bench.outcome.seconds > 0


@pytest.mark.parametrize(("seen", "online"), [(None, False), (False, False), (True, True)])
def test_only_a_station_that_its_carrier_reaches_is_online(
    tmp_path: Path, seen: bool | None, online: bool
) -> None:
    bench = Bench(tmp_path)
    flower = Flower(bench.flower)
    stations = LocalStations(local_stations(2, []), flower, deadline=60.0, warm=False)
    screen = Screen(bench.shown)
    run = SuperLinkRun(bench.app, flower, bench.folder, screen, bench.outcome, stations, [])
    if seen is not None:
        run.progress.carrier = cast("Carrier", SimpleNamespace(online=lambda _: seen))
    assert run.online("station-1") is online


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("which", ["run config", "node config"])
def test_a_run_with_another_config_than_in_its_journal_is_refused(
    tmp_path: Path, which: str, in_file: bool
) -> None:
    bench = Bench(tmp_path)
    flower = Flower(bench.flower)
    file = tmp_path / "config.toml"

    def begin(number: int) -> None:
        file.write_text(f"number = {number}")
        config = str(file) if in_file else f"number={number}"
        run_config, node_configs = ([config], []) if which == "run config" else ([], [config])
        stations = LocalStations(local_stations(1, node_configs), flower, 60.0, warm=False)
        about = (bench.app, flower, bench.folder, Screen(bench.shown), bench.outcome, stations)
        journal = Journal(tmp_path / "journal")
        try:
            run_app(SuperLinkRun(*about, run_config, journal=journal))
        finally:
            journal.close()
            clear(bench.folder)

    begin(3)
    with pytest.raises(UsageError, match=f"another {which}"):
        begin(5)


def test_a_run_goes_on_with_files_that_it_wrote_but_not_with_another_app(tmp_path: Path) -> None:
    """Its ServerApp may work in the app's own folder."""
    bench = Bench(tmp_path)
    flower = Flower(bench.flower)

    def begin(**files: str) -> None:
        with zipfile.ZipFile(bench.flower / "bin" / "a.fab", "w") as fab:
            for name, content in files.items():
                fab.writestr(name, content)
        stations = LocalStations(local_stations(1, []), flower, 60.0, warm=False)
        about = (bench.app, flower, bench.folder, Screen(bench.shown), bench.outcome, stations)
        journal = Journal(tmp_path / "journal")
        try:
            run_app(SuperLinkRun(*about, [], journal=journal))
        finally:
            journal.close()
            clear(bench.folder)

    begin(code="1", model="2")
    begin(code="1", model="2", metrics="3")
    with pytest.raises(UsageError, match="its app has changed since: code"):
        begin(code="2", model="2")


def test_a_run_that_had_been_given_up_says_why_it_begins_anew(bench: Bench, tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:
        bench.run(journal=journal)
        journal.refuse("Message 1234 expired.")
        clear(bench.folder)
        bench.run(journal=journal)
        said = "flower-v6 | the run begins anew: it could not go on. Message 1234 expired."
        assert bench.shown.getvalue().splitlines().count(said) == 1
        journal.end("completed")
        clear(bench.folder)
        bench.run(journal=journal)
    assert bench.shown.getvalue().splitlines().count(said) == 1


def test_a_serverapp_that_says_something_else_is_told_of_once(bench: Bench, tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:

        class Differing(SuperLinkRun):
            def run(self) -> None:
                if bench.outcome.seconds == 0:
                    journal.difference = Differs("Message train 2 differs.")
                    raise journal.difference
                super().run()

        def make() -> SuperLinkRun:
            flower = Flower(bench.flower)
            stations = LocalStations(local_stations(2, []), flower, deadline=60.0, warm=False)
            screen = Screen(bench.shown)
            about = (bench.app, flower, bench.folder, screen, bench.outcome, stations)
            return Differing(*about, [], journal=journal)

        run_on_journal(make, journal)
    assert bench.shown.getvalue().count("begins anew") == 1


# What is left of it


def test_an_outcome_is_left_as_json_with_all_logs_beside_it(tmp_path: Path) -> None:
    output, folder = tmp_path / "output", tmp_path / "workspace"
    output.mkdir()
    for name in ("superlink.log", "stations/station-1/functions.log", "stations/app/functions.log"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    (folder / "stations" / "station-1" / "job").mkdir()
    (folder / "stations" / "station-1" / "job" / "supernode.log").write_text("job")
    work = tmp_path / "journal" / "work"
    (work / "station-2").mkdir(parents=True)
    (work / "station-2" / "clientapp.log").write_text("journal")
    for of_app in (folder / "app", folder / "flwr" / "apps", folder / "stations" / "a" / "flwr"):
        (of_app / "a-folder.log").mkdir(parents=True)
        (of_app / "its-own.log").touch()
    outcome = Outcome("app", "1.41.0", "warm", ["station-1"], status="completed")
    outcome.messages = [MessageRecord("station-1", "5", "train", "1", "1f", bytes_out=10)]
    write_outcome(outcome, output, folder, work)
    assert {path.name for path in output.iterdir()} == {
        *("run.json", "superlink.log", "station-1-functions.log", "station-1-supernode.log"),
        "station-2-clientapp.log",
        "app-functions.log",
    }
    said = json.loads((output / "run.json").read_text())
    assert said["status"] == "completed"
    assert said["messages"][0]["bytes_out"] == 10


def test_an_outcome_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "output").touch()
    outcome = Outcome("app", "1.41.0", "warm", [], cause="No station is left.")
    with pytest.raises(AppError, match=r"cannot be written(.|\n)*No station is left\."):
        write_outcome(outcome, tmp_path / "output", tmp_path)
