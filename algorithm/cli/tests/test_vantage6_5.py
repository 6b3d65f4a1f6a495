"""The commands of a researcher on vantage6 5: the same, and the server says which it is."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from algorithm import cli
from algorithm.cli.attach import vantage6_stations
from algorithm.cli.main import parser
from algorithm.cli.shared.journals import opened
from algorithm.runs.organizations import Organizations
from algorithm.tests.vantage6 import MODEL, outcome
from proxy.central.events import Pulled
from proxy.errors import UsageError
from proxy.tests.helpers import Drained, wait_until
from proxy.vantage6.testing.model import Asked, Ended, FakeTask
from proxy.vantage6.testing.serving import Failure
from proxy.vantage6.v5 import sessions
from proxy.vantage6.v5.testing import FakeHq
from proxy.vantage6.v5.testing.keycloak import SECRET, FakeKeycloak

IMAGE = "me/app:1"


class Robot:
    """A service account that runs `flower-v6`, and a central function that leaves an outcome.

    Without one to leave, it crashes.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.leaves: Mapping[str, Any] | bytes | None = outcome()
        self.ended: list[tuple[int, Any]] = []
        self.hq = FakeHq(self._function)
        self.keycloak = FakeKeycloak(self.hq.api.tokens)
        self._capsys = capsys
        monkeypatch.setenv("HOME", str(folder))
        for name, value in {
            "SERVER": self.hq.url,
            "AUTH_SERVER": self.keycloak.url,
            "USERNAME": "robot",
            "PASSWORD": SECRET,
            "COLLABORATION": "Study",
        }.items():
            monkeypatch.setenv(f"FLOWER_V6_{name}", value)

    def _function(self, task: FakeTask) -> Mapping[str, Any] | bytes | None:
        match task.input["method"]:
            case "central" if self.leaves is None:
                raise Ended("crashed")
            case "central":
                return self.leaves
            case "host":
                return None
            case "courier":
                raise Ended("crashed")
            case "end":
                self.ended.append((task.asked.organization, task.input["kwargs"]["job"]))
        return {}

    def has_run_that_the_kernel_ended(self) -> int:
        """Have a central task that crashed, and a host of it at Beta; returns its number."""
        central = self.hq.start_central(IMAGE)
        asked = Asked("host: Beta", IMAGE, 1, 2, {"method": "host"})
        self.hq.create_task(asked, central)
        central.status, central.result = "crashed", b""
        return central.id

    def runs(self, *arguments: str) -> tuple[int, str]:
        """Run a command; returns its exit code, and all that it shows."""
        code = cli.main(arguments)
        captured = self._capsys.readouterr()
        assert SECRET not in captured.out + captured.err
        return code, captured.out + captured.err


@pytest.fixture
def robot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Robot]:
    monkeypatch.setattr(sessions, "_POLL_SECONDS", 0.01)
    robot = Robot(tmp_path, monkeypatch, capsys)
    with robot.keycloak, robot.hq:
        yield robot


def test_a_run_is_submitted_in_a_session_of_its_own_and_its_outcome_brought_home(
    robot: Robot, tmp_path: Path
) -> None:
    code, _ = robot.runs("submit", IMAGE, "--database", "digits", "--output", str(tmp_path / "r"))
    assert code == 0
    assert (tmp_path / "r" / "model.npz").read_bytes() == MODEL
    [members] = robot.hq.api.members
    assert (members["method"], members["action"]) == ("central", "central_compute")
    assert members["session_id"] == 1
    assert "databases" not in members  # the central's node may have none
    [central] = [task for task in robot.hq.tasks.values() if task.input["method"] == "central"]
    assert central.input["kwargs"] == {"dataframes": [1]}


def test_a_task_names_the_algorithm_store_that_has_its_image_and_so_does_the_extraction(
    robot: Robot,
) -> None:
    """A node that goes by a store would refuse both without."""
    robot.runs("submit", IMAGE, "--database", "digits")
    robot.hq.api.approved.add(IMAGE)
    robot.runs("submit", IMAGE, "--database", "digits")
    tasks = [*robot.hq.api.members, *robot.hq.api.extractions]
    assert [each.get("store_id") for each in tasks] == [None, 1, None, 1]


def test_the_arguments_are_the_input_itself(robot: Robot) -> None:
    robot.runs("submit", IMAGE, "--mode", "direct", "--detach")
    [task] = robot.hq.tasks.values()
    assert task.input == {"method": "central", "kwargs": {"mode": "direct"}}


def test_a_run_that_failed_is_a_failure_though_its_task_completed(robot: Robot) -> None:
    robot.leaves = outcome(status="failed", cause="The ServerApp failed.")
    code, shown = robot.runs("submit", IMAGE)
    assert code == 1
    assert "did not complete: The ServerApp failed." in shown
    assert robot.runs("watch", "1")[0] == 1


def test_a_run_that_was_refused_is_a_failure_too(robot: Robot) -> None:
    robot.leaves = {"error": "There is no organization 'X'."}
    code, shown = robot.runs("submit", IMAGE)
    assert code == 1
    assert "There is no organization 'X'." in shown


def test_a_task_is_watched_and_fetched_by_its_number(robot: Robot, tmp_path: Path) -> None:
    assert robot.runs("submit", IMAGE, "--detach")[0] == 0
    assert robot.runs("watch", "1")[0] == 0
    assert robot.runs("fetch", "1", "--output", str(tmp_path / "again"))[0] == 0
    assert (tmp_path / "again" / "run.json").exists()


def test_without_keycloaks_address_it_is_asked_for(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWER_V6_AUTH_SERVER")
    code, shown = robot.runs("watch", "1")
    assert code == 1
    assert "No auth server of vantage6 is given" in shown
    assert "--auth-server" in shown


def test_attached_supernodes_are_warm_unless_asked_otherwise(robot: Robot) -> None:
    def attached(*more: str) -> float | None:
        words = ["attach", "--superlink", "localhost:9092", "--vantage6", IMAGE, *more]
        stations = vantage6_stations(parser().parse_args(words))
        assert stations.job
        assert stations.members["session_id"]
        return stations.idle_limit

    assert attached("--deadline", "60") == 120.0
    assert attached("--supernodes", "warm", "--deadline", "60") == 120.0
    assert attached("--supernodes", "per-round") is None


# A job that goes on


def attached(folder: Path, *more: str, pulls: bool = False, ends: bool = False) -> Organizations:
    """Return what `attach` has with a journal in a folder; it is killed then, unless it `ends`."""
    words = ["attach", "--superlink", "localhost:9092", "--vantage6", IMAGE, "--journal", "course"]
    options = parser().parse_args([*words, "--organizations", "Beta", *more])
    options.journal = folder / "course"
    with opened(options) as journal:
        assert journal is not None
        stations = vantage6_stations(options, journal)
        if pulls:
            journal.trace(Pulled(station="Beta", instruction=Drained().instruction, step=1, at=0.0))
        if ends:
            stations.carrier(folder).close()
    return stations


@pytest.mark.parametrize("data", [[], ["--database", "digits"], ["--session", "1"]])
def test_attach_that_was_killed_goes_on_in_the_same_session_and_job(
    robot: Robot, tmp_path: Path, data: list[str]
) -> None:
    """There the stations have the marks of what was trained."""
    robot.hq.api.sessions[1] = []
    first = attached(tmp_path, *data)
    again = attached(tmp_path, *data)
    assert (again.job, again.members) == (first.job, first.members)
    assert len(robot.hq.api.extractions) == ("--database" in data)


@pytest.mark.parametrize("data", [[], ["--session", "1"]])
def test_a_job_whose_end_the_stations_were_told_is_not_gone_on_with(
    robot: Robot, tmp_path: Path, data: list[str]
) -> None:
    robot.hq.api.sessions[1] = []
    first = attached(tmp_path, *data, ends=True)
    assert robot.ended == [(2, first.job)]
    assert attached(tmp_path, *data).job != first.job


def test_a_job_goes_on_if_a_message_is_brought_to_its_station_again(
    robot: Robot, tmp_path: Path
) -> None:
    """As when `attach` is started again, and the SuperLink does not answer."""
    first = attached(tmp_path, pulls=True)
    assert attached(tmp_path, ends=True).job == first.job
    assert not robot.ended
    assert attached(tmp_path).job == first.job


def test_a_journals_job_takes_no_other_data(robot: Robot, tmp_path: Path) -> None:
    attached(tmp_path)
    with pytest.raises(UsageError, match=r"holds a job with other databases: \[\] instead of"):
        attached(tmp_path, "--database", "digits")
    assert not robot.hq.api.extractions


def test_what_a_journal_says_of_its_job_may_be_damaged(robot: Robot, tmp_path: Path) -> None:
    attached(tmp_path)
    (tmp_path / "course" / "session.json").write_text("{}")
    with pytest.raises(UsageError, match=r"session\.json cannot be used"):
        attached(tmp_path)


def test_attach_that_cannot_start_has_no_database_copied(robot: Robot) -> None:
    """Nobody would have the copies removed."""
    words = ["attach", "--superlink", "localhost:9092", "--vantage6", IMAGE, "--database", "digits"]
    with socket.create_server(("127.0.0.1", 0)) as busy:
        code, _ = robot.runs(*words, "--metrics", f"127.0.0.1:{busy.getsockname()[1]}")
    assert code == 1
    assert not robot.hq.api.sessions


# What a run left behind


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("command", ["watch", "kill"])
def test_hosts_that_a_run_left_behind_are_told_that_it_is_over(
    robot: Robot, command: str, encrypted: bool
) -> None:
    robot.hq.collaborations[1].encrypted = encrypted
    task = robot.has_run_that_the_kernel_ended()
    code, shown = robot.runs(command, str(task))
    assert code == (command == "watch")
    assert (
        f"task {task} left hosts or copies of databases behind: Beta are told that it is over"
        in shown
    )
    wait_until(lambda: robot.ended == [(2, f"task{task}")])


def test_hosts_that_a_run_left_behind_are_told_by_who_fetches_its_outcome(
    robot: Robot, tmp_path: Path
) -> None:
    task = robot.has_run_that_the_kernel_ended()
    code, shown = robot.runs("fetch", str(task), "--output", str(tmp_path / "output"))
    assert code == 1
    assert (
        f"task {task} left hosts or copies of databases behind: Beta are told that it is over"
        in shown
    )
    wait_until(lambda: robot.ended == [(2, f"task{task}")])


def test_a_run_that_ended_and_left_nothing_cannot_be_killed(robot: Robot) -> None:
    robot.runs("submit", IMAGE)
    code, shown = robot.runs("kill", "1")
    assert code == 1
    assert "Task 1 has ended already" in shown
    assert not robot.ended


@pytest.mark.parametrize(
    "leaves", [None, {"error": "The app's run config has no key."}], ids=["crashed", "refused"]
)
def test_copies_of_databases_that_a_run_left_behind_are_removed_once(
    robot: Robot, leaves: Mapping[str, Any] | None
) -> None:
    robot.leaves = leaves
    code, shown = robot.runs("submit", IMAGE, "--database", "digits")
    assert code == 1
    assert "left hosts or copies of databases behind: Alpha, Beta, Gamma are told" in shown
    wait_until(lambda: len(robot.ended) == 3)
    assert sorted(robot.ended) == [(each, "task2") for each in (1, 2, 3)]
    wait_until(lambda: all(task.ended for task in robot.hq.tasks.values()))
    assert robot.runs("watch", "2")[0] == 1
    assert len(robot.ended) == 3


def test_copies_in_a_session_of_the_users_own_stay(robot: Robot) -> None:
    robot.hq.api.sessions[1] = []
    robot.leaves = None
    robot.runs("submit", IMAGE, "--database", "digits", "--session", "1")
    assert not robot.ended


def test_copies_that_another_run_in_the_session_needs_stay(robot: Robot) -> None:
    robot.runs("submit", IMAGE, "--database", "digits")
    other = robot.hq.start_central(IMAGE)
    robot.leaves = None
    assert robot.runs("submit", IMAGE, "--session", "1")[0] == 1
    assert not robot.ended
    other.status = "completed"
    robot.runs("watch", str(max(robot.hq.tasks)))
    assert len(robot.ended) == 3


def test_a_message_that_failed_and_is_watched_takes_no_data_from_its_run(robot: Robot) -> None:
    robot.runs("submit", IMAGE, "--database", "digits")
    failed = Asked("train 1: Beta", IMAGE, 1, 2, {"method": "courier"})
    task = robot.hq.create_task(failed, robot.hq.tasks[2])
    wait_until(lambda: task.ended)
    assert robot.runs("watch", str(task.id))[0] == 1
    assert not robot.ended


def test_what_was_extracted_is_removed_if_the_task_cannot_be_created(robot: Robot) -> None:
    robot.hq.fail_next(Failure.ERROR, "POST task")
    assert robot.runs("submit", IMAGE, "--database", "digits")[0] == 1
    assert [organization for organization, _ in robot.ended] == [1, 2, 3]
    assert not robot.hq.api.sessions


def test_what_was_extracted_stays_if_the_task_was_created_after_all(robot: Robot) -> None:
    robot.hq.fail_next(Failure.ANSWER_LOST, "POST task")
    code, shown = robot.runs("submit", IMAGE, "--database", "digits")
    assert code == 1
    assert "The task may have been created or not." in shown
    assert not robot.ended
    assert robot.hq.api.sessions


# The exit code


@pytest.mark.parametrize("request_", ["GET task/1/status", "GET collaboration/1", "GET result"])
def test_a_server_that_is_away_when_a_run_has_failed_is_waited_for(
    robot: Robot, request_: str
) -> None:
    robot.leaves = outcome(status="failed", cause="The ServerApp failed.")
    robot.runs("submit", IMAGE, "--detach")
    robot.hq.fail_next(Failure.ERROR, request_)
    code, shown = robot.runs("watch", "1")
    assert code == 1
    assert "did not complete: The ServerApp failed." in shown


@pytest.mark.parametrize("left", [b"", b"no JSON"], ids=["nothing", "nonsense"])
def test_a_task_that_left_no_outcome_is_a_failure(robot: Robot, left: bytes) -> None:
    robot.leaves = left
    assert robot.runs("submit", IMAGE)[0] == 1


def test_an_outcome_that_may_not_be_read_is_a_failure(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot.runs("submit", IMAGE, "--detach")
    real = robot.hq.api.answer
    refused = 401, {"msg": "Token has expired"}
    monkeypatch.setattr(
        robot.hq.api,
        "answer",
        lambda request: refused if request.path.endswith("/status") else real(request),
    )
    assert robot.runs("watch", "1")[0] == 1


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_where_an_outcome_is_encrypted_a_task_that_completed_is_well_without_a_key(
    robot: Robot, status: str
) -> None:
    robot.leaves = outcome(status=status)
    robot.runs("submit", IMAGE, "--detach")
    wait_until(lambda: robot.hq.tasks[1].ended)
    robot.hq.collaborations[1].encrypted = True
    assert robot.runs("watch", "1")[0] == 0


def test_a_message_that_completed_and_is_watched_is_well(robot: Robot) -> None:
    """It has a reply, and no outcome."""
    central = robot.hq.start_central(IMAGE)
    asked = Asked("end: Beta", IMAGE, 1, 2, {"method": "end", "kwargs": {"job": "task1"}})
    message = robot.hq.create_task(asked, central)
    wait_until(lambda: message.ended)
    assert robot.runs("watch", str(message.id))[0] == 0
