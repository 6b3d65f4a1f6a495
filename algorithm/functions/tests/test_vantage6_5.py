"""What functions do in a container of vantage6 5: a folder for each job, errors that arrive."""

import base64
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from algorithm import __main__ as program
from algorithm.flower.environment import ENVIRONMENT_VARIABLE
from algorithm.functions import extract, host
from algorithm.station.answer import Unanswered
from algorithm.station.job import Job, Message
from algorithm.tests.fake_flower import make_flower
from algorithm.tests.node import encoded
from proxy.carriers.answers import UNDER_WAY, UNHEARD
from proxy.errors import CarrierError
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.v5.container import read


class Pod:
    """A container of vantage6 5; the program in it is run in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session = folder / "session"
        self.session.mkdir()
        self.output = folder / "output"
        self.image: dict[str, str] = {}  # its own variables
        self._input = folder / "input"
        self._monkeypatch = monkeypatch

    def environment(self, method: str, **more: str) -> dict[str, str]:
        values = {
            "INPUT_FILE": str(self._input),
            "OUTPUT_FILE": str(self.output),
            "SESSION_FOLDER": str(self.session),
            "ALGORITHM_METHOD": method,
            "FUNCTION_ACTION": "federated_compute",
            **{"HOST": "http://proxy", "PORT": "80", "API_PATH": ""},
            **more,
        }
        return {name: encoded(value) for name, value in values.items()}

    def run(self, method: str, kwargs: Any, **more: str) -> tuple[int, Any]:
        """Run a function; returns the exit code, and what is in the output."""
        self.output.write_bytes(b"")  # as the node makes it
        self._input.write_text(json.dumps(kwargs))
        environment = self.image | self.environment(method, **more)
        self._monkeypatch.setattr(os, "environ", environment)
        code = program.main()
        content = self.output.read_bytes()
        return code, json.loads(content) if content.startswith(b"{") else content

    @property
    def job(self) -> Job:
        return Job(self.session / "flower-v6" / "jobs" / "task1")


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path, monkeypatch)


def test_the_function_is_that_of_the_environment_and_the_input_is_its_arguments(pod: Pod) -> None:
    assert pod.run("end", {"job": "task1"}) == (0, {"host": False})
    assert pod.job.over


@pytest.mark.parametrize("method", [*program.FUNCTIONS, "nonsense"])
def test_a_failure_arrives_for_its_exit_code_is_0(pod: Pod, method: str) -> None:
    code, left = pod.run(method, {"message_id": []})
    assert code == 0
    assert left["error"]
    assert left["code"]


def test_a_central_function_without_a_token_says_so(pod: Pod) -> None:
    assert "no vantage6 token" in pod.run("central", {})[1]["error"]


# Asking


def instruct(pod: Pod) -> Path:
    message = pod.job.message("1f")
    message.instruction.write_bytes(b"an instruction")
    return message.folder


def asked(pod: Pod) -> Mapping[str, Any]:
    code, left = pod.run("ask", {"message_id": "1f", "job": "task1"})
    assert code == 0
    return dict(left)


@pytest.mark.parametrize("name", ["reply.bundle", "missing.bundle"])
def test_an_answer_that_the_station_has_is_brought(pod: Pod, name: str) -> None:
    (pod.job.message("1f").folder / name).write_bytes(b"an answer")
    assert base64.b64decode(asked(pod)["bundle"]) == b"an answer"


def test_a_message_is_under_way_while_a_host_lives(pod: Pod) -> None:
    instruct(pod)
    with pod.job.hosting():
        assert asked(pod) == UNDER_WAY
    assert asked(pod) == UNHEARD


def test_a_message_is_under_way_while_a_container_works_on_it(pod: Pod) -> None:
    job = pod.job
    with job.working_on(job.message("1f")):
        assert asked(pod) == UNDER_WAY


def test_a_message_that_never_came_is_unheard_of(pod: Pod) -> None:
    with pod.job.hosting():
        assert asked(pod) == UNHEARD


# The end


def test_what_only_a_run_needs_goes_and_marks_and_logs_stay(pod: Pod) -> None:
    job = pod.job
    message = job.message("1f")
    message.take()
    message.reply.write_bytes(b"a reply")
    job.supernode_log.write_text("what was printed")
    pod.run("end", {"job": "task1"})
    assert not message.folder.exists()
    assert pod.job.message("1f").taken
    assert job.supernode_log.exists()


def test_a_host_that_lives_cleans_up_itself(pod: Pod) -> None:
    job = pod.job
    job.message("1f").reply.write_bytes(b"a reply")
    with job.hosting():
        assert pod.run("end", {"job": "task1"})[1] == {"host": True}
    assert job.message("1f").answered()


def test_a_host_ends_when_the_run_has(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_LINGER_SECONDS", 0.0)
    pod.image[ENVIRONMENT_VARIABLE] = str(make_flower(tmp_path / "flower"))
    pod.job.end()
    kwargs = {"node_id": 7, "node_config": "", "idle_limit": 60.0, "job": "task1"}
    assert pod.run("host", kwargs) == (0, {"served": 0})


def test_a_host_that_ends_because_no_message_comes_notes_that(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_LINGER_SECONDS", 0.0)
    pod.image[ENVIRONMENT_VARIABLE] = str(make_flower(tmp_path / "flower"))
    kwargs = {"node_id": 7, "node_config": "", "idle_limit": 0.0, "job": "task1", "host": "a1"}
    assert pod.run("host", kwargs) == (0, {"served": 0})
    assert pod.job.was_idle("a1")
    assert not pod.job.was_idle("a2")


def test_a_host_ends_in_the_middle_of_a_message_when_the_run_has(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train_for_ever(*_: object) -> None:
        pod.job.end()
        threading.Event().wait()

    monkeypatch.setattr(host, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(host, "answer", train_for_ever)
    pod.image[ENVIRONMENT_VARIABLE] = str(make_flower(tmp_path / "flower"))
    folder = instruct(pod)
    kwargs = {"node_id": 7, "node_config": "", "idle_limit": 60.0, "job": "task1"}
    assert pod.run("host", kwargs) == (0, {"served": 0})
    assert not folder.exists()


def test_a_message_that_a_full_disk_leaves_without_an_answer_has_one_when_there_is_room(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tries: list[str] = []

    def full(*_: object) -> None:
        raise Unanswered("No space left on device")

    def fail(_job: Job, _message: Message, reason: str) -> None:
        tries.append(reason)
        if len(tries) == 1:
            full()
        pod.job.end()

    monkeypatch.setattr(host, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(host, "_FULL_DISK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(host, "answer", full)
    monkeypatch.setattr(host, "fail", fail)
    pod.image[ENVIRONMENT_VARIABLE] = str(make_flower(tmp_path / "flower"))
    instruct(pod)
    kwargs = {"node_id": 7, "node_config": "", "idle_limit": 60.0, "job": "task1"}
    assert pod.run("host", kwargs)[0] == 0
    assert tries == ["No space left on device"] * 2


def test_a_courier_that_is_started_again_after_the_run_trains_nobody(pod: Pod) -> None:
    pod.job.end()
    kwargs = {"message_id": "1f", "timeout": 30.0, "job": "task1", "bundle": "YQ=="}
    assert "The run has ended" in pod.run("courier", kwargs)[1]["error"]


# Extraction


def test_a_database_is_copied_and_the_index_says_nothing_of_it(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "_SEEN_SECONDS", 0.0)
    source = tmp_path / "patients.csv"
    source.write_text("name,age\nAda,36\n")
    kwargs = {"name": "df-1", "label": "digits", "for_one_run": True}
    where = {"DATABASE_URI": str(source), "DATABASE_TYPE": "csv"}
    code, index = pod.run("extract", kwargs, **where)
    assert code == 0
    assert index.startswith(b"PAR1")
    assert index.endswith(b"PAR1")
    assert b"age" not in index
    variables = pod.environment("courier", USER_REQUESTED_DATAFRAMES="df-1")
    copy = Path(read(variables).databases["digits"].uri)
    assert copy.read_text() == source.read_text()
    pod.run("end", {"job": "task1"})
    assert not copy.exists()


def test_a_database_that_is_no_file_is_an_error_in_the_log_and_no_index(
    pod: Pod, capsys: pytest.CaptureFixture[str]
) -> None:
    kwargs = {"name": "df-1", "label": "hospital", "for_one_run": True}
    where = {"DATABASE_URI": "postgresql://db/x", "DATABASE_TYPE": "sql"}
    code, left = pod.run("extract", kwargs, **where)
    assert code == 0
    assert "no file and no folder" in left["error"]
    assert "no file and no folder" in capsys.readouterr().out


def test_in_vantage6_4_nothing_is_extracted(tmp_path: Path) -> None:
    container = Container(tmp_path / "input", tmp_path / "output", tmp_path)
    kwargs = {"name": "df-1", "label": "digits", "for_one_run": True}
    payload.write(container.input_file, {"kwargs": kwargs})
    with (
        payload.read(container.input_file) as task,
        pytest.raises(CarrierError, match="vantage6 5 only"),
    ):
        extract.main(container, task)
