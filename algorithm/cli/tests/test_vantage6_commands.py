"""The commands submit, watch and fetch: what they ask of a server, show, and leave behind."""

import logging
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from algorithm import cli
from algorithm.monitoring.entries import MARK, STARTED, Entry
from algorithm.tests.vantage6 import MODEL, User, add_subtask, outcome
from proxy.vantage6.v4.testing import Asked, Ended, Failure, FakeServer, FakeTask


class Nodes:
    """What the nodes run: the central function leaves what the test says."""

    def __init__(self) -> None:
        self.result: Any = outcome()
        self.log = "round 1\n"
        self.end = ""

    def __call__(self, task: FakeTask) -> Any:
        task.log = self.log
        if self.end:
            raise Ended(self.end, self.result)
        return self.result


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


@pytest.fixture
def fake(nodes: Nodes) -> Iterator[FakeServer]:
    with FakeServer(nodes) as fake:
        yield fake


@pytest.fixture
def user(
    fake: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> User:
    monkeypatch.setattr("algorithm.researcher.watch._LOOK_SECONDS", 0.01)
    user = User(fake, tmp_path, monkeypatch, capsys)
    user.is_told(collaboration="Study")
    return user


@pytest.fixture(autouse=True)
def _as_if_in_a_process_of_its_own() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    loggers = logging.getLogger().handlers[:]
    logging.getLogger().handlers[:] = []
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
    logging.getLogger().handlers[:] = loggers


# Submitting


def test_what_is_not_given_is_left_to_the_central_function(user: User, fake: FakeServer) -> None:
    user.sees("submit", "an/image", "--detach")
    asked = fake.tasks[1].asked
    assert asked == Asked(
        name="image",
        image="an/image",
        collaboration=1,
        organization=1,
        input={"method": "central", "kwargs": {}},
        description="A Flower app, with SuperNodes at Alpha, Beta, Gamma",
        databases=(),
    )


def test_all_that_is_given_reaches_the_central_function(user: User, fake: FakeServer) -> None:
    options = "--organization Beta --organizations Gamma 2 --supernodes per-round"
    options += (
        " --mode direct --deadline 60 --idle-limit 90 --database images --database labels --detach"
    )
    config = ("--run-config", "rounds=3 note='a b'", "--run-config", 'lr=0.5 deep.er=true x="1"')
    user.sees("submit", "an/image", *options.split(), *config)
    asked = fake.tasks[1].asked
    assert (asked.organization, asked.databases) == (2, ("images", "labels"))
    assert asked.input["kwargs"] == {
        "run_config": {"rounds": 3, "note": "a b", "lr": 0.5, "deep.er": True, "x": "1"},
        "organizations": [3, 2],
        "mode": "direct",
        "supernodes": "per-round",
        "deadline": 60.0,
        "idle_limit": 90.0,
    }


def test_the_run_config_may_be_a_file(user: User, fake: FakeServer, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("rounds = 3\n[model]\nsize = 'large'\n")
    user.sees("submit", "an/image", "--run-config", str(config), "--detach")
    kwargs = fake.tasks[1].input["kwargs"]
    assert kwargs == {"run_config": {"rounds": 3, "model.size": "large"}}


@pytest.mark.parametrize(
    ("image", "options", "name"),
    [
        ("registry.example:5000/me/digits-csv:1.0.0", [], "digits-csv 1.0.0"),
        ("digits@sha256:" + "0" * 64, [], "digits"),
        ("me/digits:1.0", ["--name", "second try"], "second try"),
    ],
)
def test_a_task_is_called_what_people_call_its_image(
    user: User, fake: FakeServer, image: str, options: list[str], name: str
) -> None:
    user.sees("submit", image, *options, "--detach")
    assert fake.tasks[1].asked.name == name


def test_a_task_in_direct_mode_does_not_speak_of_supernodes(user: User, fake: FakeServer) -> None:
    user.sees("submit", "an/image", "--mode", "direct", "--detach")
    said = "A Flower app, with ClientApps at Alpha, Beta, Gamma"
    assert fake.tasks[1].asked.description == said


def test_a_task_names_the_algorithm_store_that_has_its_image(user: User, fake: FakeServer) -> None:
    fake.api.approved.add("an/image")
    user.sees("submit", "an/image", "--detach")
    user.sees("submit", "another/image", "--detach")
    assert [task.asked.store for task in fake.tasks.values()] == [1, None]


def test_a_store_that_cannot_be_asked_is_told_and_the_task_runs(
    user: User, fake: FakeServer
) -> None:
    fake.api.approved.add("an/image")
    fake.fail_next(Failure.LOST, "GET store/algorithm")
    shown = user.sees("submit", "an/image", "--detach")
    assert "The algorithm store Store" in shown
    assert "The task does not name the store" in shown
    assert fake.tasks[1].asked.store is None


@pytest.mark.parametrize("config", ["rounds", "rounds=three", "when=1979-05-27", "missing.toml"])
def test_a_run_config_that_is_not_understood_is_refused_before_anything_starts(
    user: User, fake: FakeServer, config: str
) -> None:
    assert "run config" in user.fails("submit", "an/image", "--run-config", config)
    assert not fake.tasks


def test_the_collaboration_may_be_named_by_its_id(user: User, fake: FakeServer) -> None:
    fake.add_collaboration("Other", [1, 3], encrypted=False)
    user.sees("submit", "an/image", "--collaboration", "2", "--detach")
    assert fake.tasks[1].asked.collaboration == 2


def test_a_submitted_task_is_watched_and_its_outcome_brought_home(
    user: User, tmp_path: Path
) -> None:
    shown = user.sees("submit", "an/image", "--output", str(tmp_path / "out"))
    assert "flower-v6 watch 1" in shown
    assert "round 1" in shown
    assert user.report(tmp_path / "out")["status"] == "completed"
    assert (tmp_path / "out" / "model.npz").read_bytes() == MODEL


def test_the_outcome_of_a_failed_run_comes_home_and_the_command_fails(
    user: User, nodes: Nodes, tmp_path: Path
) -> None:
    nodes.end = "crashed"
    nodes.result = outcome({}, status="failed", cause="no station is left", log="Traceback")
    said = user.fails("submit", "an/image", "--output", str(tmp_path))
    assert "no station is left" in said
    assert "Traceback" in said
    assert user.report(tmp_path)["cause"] == "no station is left"


def test_an_offline_node_is_told_and_waited_for(user: User, fake: FakeServer) -> None:
    fake.set_node(2, online=False)
    shown = user.sees("submit", "an/image", "--detach")
    assert "the node of Beta is offline; its tasks stay pending until it is online" in shown
    assert "Gamma is offline" not in shown


def test_in_an_encrypted_collaboration_all_goes_as_elsewhere(
    user: User, fake: FakeServer, tmp_path: Path
) -> None:
    fake.add_collaboration("Secret", [1, 2], encrypted=True)
    user.has_key_of(1)
    where = ("--collaboration", "Secret")
    user.sees("submit", "an/image", *where, "--output", str(tmp_path), "--deadline", "60")
    assert fake.tasks[1].input["kwargs"] == {"deadline": 60.0}
    assert (tmp_path / "model.npz").read_bytes() == MODEL


def test_the_password_is_nowhere(
    user: User, fake: FakeServer, nodes: Nodes, tmp_path: Path
) -> None:
    shown = user.sees("submit", "an/image", "--output", str(tmp_path / "out"))
    assert fake.api.password not in shown
    for path in (tmp_path / "out").iterdir():
        assert fake.api.password.encode() not in path.read_bytes()
    assert fake.api.password not in str(fake.tasks[1].asked)


@pytest.mark.parametrize("command", [["submit", "an/image"], ["watch", "1"]])
def test_a_password_is_no_flag(
    user: User, fake: FakeServer, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*command, "--password", fake.api.password])
    assert "unrecognized arguments" in capsys.readouterr().err


# What cannot be submitted


def test_an_attachment_that_cannot_be_is_told_like_any_other_error(user: User) -> None:
    command = ("attach", "--superlink", "127.0.0.1:1", "--vantage6", "an/image")
    assert "no SuperNode can be kept warm" in user.fails(*command, "--supernodes", "warm")


def test_an_unknown_collaboration_is_answered_with_those_that_exist(
    user: User, fake: FakeServer
) -> None:
    fake.add_collaboration("Other", [1], encrypted=False)
    said = user.fails("submit", "an/image", "--collaboration", "Nowhere")
    assert "There is no collaboration 'Nowhere'" in said
    assert "Study (1), Other (2)" in said
    user.is_told(collaboration="")
    assert "Study (1), Other (2)" in user.fails("submit", "an/image")


@pytest.mark.parametrize("option", ["--organization", "--organizations"])
def test_an_unknown_organization_is_answered_with_those_that_exist(
    user: User, fake: FakeServer, option: str
) -> None:
    said = user.fails("submit", "an/image", option, "Nobody")
    assert "There is no organization 'Nobody' in the collaboration 'Study'" in said
    assert "Alpha (1), Beta (2), Gamma (3)" in said
    assert not fake.tasks


@pytest.mark.parametrize("options", [[], ["--organizations", "Beta"], ["--organization", "2"]])
def test_an_organization_without_a_node_is_named(
    user: User, fake: FakeServer, options: list[str]
) -> None:
    del fake.collaborations[1].nodes[2]
    said = user.fails("submit", "an/image", *options)
    assert "No node is registered in the collaboration 'Study' for Beta" in said
    assert not fake.tasks


def test_an_organization_without_a_node_need_not_take_part(user: User, fake: FakeServer) -> None:
    del fake.collaborations[1].nodes[2]
    user.sees("submit", "an/image", "--organizations", "Alpha", "Gamma", "--detach")
    assert fake.tasks


def test_a_user_of_another_organization_cannot_submit(user: User, fake: FakeServer) -> None:
    fake.add_collaboration("Other", [2, 3], encrypted=False)
    said = user.fails("submit", "an/image", "--collaboration", "Other")
    assert "organization of ada is not in the collaboration 'Other'" in said


def test_an_encrypted_collaboration_wants_the_organizations_key(
    user: User, fake: FakeServer
) -> None:
    fake.add_collaboration("Secret", [1, 2], encrypted=True)
    where = ("--collaboration", "Secret")
    said = user.fails("submit", "an/image", *where)
    assert "encrypted" in said
    assert "the private key of Alpha with --organization-key" in said
    wrong = user.has_key_of(2)
    assert f"{wrong} is not the private key of Alpha" in user.fails("submit", "an/image", *where)
    wrong.write_text("no key")
    assert f"{wrong} cannot be read" in user.fails("submit", "an/image", *where)
    assert not fake.tasks


def test_a_post_that_was_not_answered_is_not_repeated(user: User, fake: FakeServer) -> None:
    fake.fail_next(Failure.ANSWER_LOST, "POST task")
    said = user.fails("submit", "an/image")
    assert "may have been created or not" in said
    assert len(fake.tasks) == 1


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("server", "http://127.0.0.1:9/api", "No vantage6 server answers"),
        ("server", "the server", "neither http:// nor https://"),
        ("password", "wrong", "refuses the login of ada: Failed to login"),
        ("username", "eve", "refuses the login of eve: Failed to login"),
    ],
)
def test_who_cannot_log_in_is_told_why(user: User, setting: str, value: str, said: str) -> None:
    user.is_told(**{setting: value})
    for command in (["submit", "an/image"], ["watch", "1"], ["fetch", "1", "--output", "out"]):
        assert said in user.fails(*command)
    assert not Path("out").exists()


def test_an_address_without_the_apis_path_is_told_to_be_that(user: User, fake: FakeServer) -> None:
    user.is_told(server=fake.proxy_url)
    assert "https://host/api" in user.fails("watch", "1")


# Watching


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("not allowed", "the node's owner does not allow this image"),
        ("non-existing Docker image", "can neither find nor pull the image"),
        ("crashed", "the task's log says why"),
        ("killed by user", "killed by user"),
    ],
)
def test_a_task_that_does_not_complete_is_a_failure_with_its_reason(
    user: User, nodes: Nodes, end: str, said: str
) -> None:
    nodes.end, nodes.result = end, b""
    assert said in user.fails("submit", "an/image")
    assert said in user.fails("watch", "1")


def test_a_task_may_be_watched_after_its_end(user: User, fake: FakeServer) -> None:
    user.sees("submit", "an/image")
    add_subtask(fake, fake.tasks[1], "train 1: Alpha", 1).status = "completed"
    assert user.sees("watch", "1").splitlines() == [
        "round 1",
        "flower-v6 | train 1: Alpha: completed",
    ]


def test_metrics_of_a_task_are_served_while_it_is_watched(
    user: User, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    central = fake.start_central()
    fake.set_node(2, online=False)
    about: dict[str, Any] = {"station": "Alpha", "message_type": "train", "step": 3}
    entries = [
        Entry(event=STARTED, at=1.0, stations=["Alpha", "Beta"]),
        Entry(event="pulled", at=2.0, **about),
        Entry(event="answered", at=3.0, metrics={"loss": 0.5}, **about),
    ]
    central.log = "".join(f"{MARK}{entry.text()}\n" for entry in entries)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    served: list[str] = []

    def look(_: float) -> None:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            served.extend(answer.read().decode().splitlines())
        central.status = "completed"

    monkeypatch.setattr("time.sleep", look)
    shown = user.sees("watch", "1", "--metrics", address)
    assert shown == f"flower-v6 | metrics are at http://{address}/metrics\n"
    assert 'flower_v6_reply_metric{name="loss",station="Alpha",type="train"} 0.5' in served
    assert 'flower_v6_station_online{station="Alpha"} 1.0' in served
    assert 'flower_v6_station_online{station="Beta"} 0.0' in served
    assert 'flower_v6_station_working{station="Alpha"} 1.0' in served


def test_a_port_that_is_taken_ends_the_watching_before_it_begins(user: User) -> None:
    user.fake.start_central()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "Address already in use" in user.fails("watch", "1", "--metrics", address)


@pytest.mark.parametrize("command", [["watch", "7"], ["fetch", "7", "--output", "out"]])
def test_a_task_that_does_not_exist_is_said_not_to(user: User, command: list[str]) -> None:
    assert "There is no task 7 at http" in user.fails(*command)


def test_ctrl_c_ends_the_watching_and_not_the_task(
    user: User, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.set_node(1, online=False)  # so that the task waits
    monkeypatch.setattr("time.sleep", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert cli.main(["submit", "an/image"]) == 128 + signal.SIGTERM
    assert "goes on without this command" in capsys.readouterr().out
    assert fake.tasks[1].status == "pending"


def test_messages_are_deleted_behind_a_run_that_is_watched(user: User, fake: FakeServer) -> None:
    user.sees("submit", "an/image")
    add_subtask(fake, fake.tasks[1], "train 1: Alpha", 1).status = "completed"
    assert "train 1: Alpha: completed" in user.sees("watch", "1", "--tidy")
    assert list(fake.tasks) == [1]
    assert not fake.unreachable


def test_only_a_run_is_tidied(user: User, fake: FakeServer) -> None:
    other = fake.create_task(Asked("average", "an/image", 1, 1, {"method": "average"}))
    add_subtask(fake, other, "partial: 1", 1).status = "completed"
    assert "its function is 'average'" in user.fails("watch", str(other.id), "--tidy")
    assert len(fake.tasks) == 2


def test_what_does_not_wait_cannot_tidy(user: User, fake: FakeServer) -> None:
    assert "watch TASK --tidy" in user.fails("submit", "an/image", "--tidy", "--detach")
    assert not fake.tasks


# Killing and deleting


@pytest.fixture
def running(fake: FakeServer) -> FakeTask:
    """A run that goes on, with a host and a message."""
    central = fake.start_central()
    for name in ("host: Beta", "train 1: Beta"):
        fake.set_node(2, online=False)  # so that it does nothing on its own
        add_subtask(fake, central, name, 2)
    return central


def test_a_killed_run_ends_with_all_its_subtasks(
    user: User, fake: FakeServer, running: FakeTask
) -> None:
    assert f"task {running.id} is killed" in user.sees("kill", "1")
    assert {task.status for task in fake.tasks.values()} == {"killed by user"}


def test_a_deleted_run_leaves_nothing_at_the_server(
    user: User, fake: FakeServer, running: FakeTask
) -> None:
    user.sees("kill", "1")
    assert "task 1 and its 2 messages and hosts are deleted" in user.sees("delete", "1")
    assert not fake.tasks
    assert not fake.unreachable


def test_what_runs_is_deleted_only_if_that_is_meant(
    user: User, fake: FakeServer, running: FakeTask
) -> None:
    said = user.fails("delete", "1")
    assert "Task 1 is active" in said
    assert "flower-v6 kill 1" in said
    assert len(fake.tasks) == 3
    user.sees("delete", "1", "--running")
    assert running.killed.is_set()
    # Else it would go on making tasks while those that it has are deleted.
    assert fake.requests.index("POST kill/task") < fake.requests.index("DELETE task/3")
    assert not fake.tasks
    assert not fake.unreachable


def test_who_may_not_kill_may_end_a_run_by_deleting_it(
    user: User, fake: FakeServer, running: FakeTask
) -> None:
    fake.api.may_kill = False
    user.sees("delete", "1", "--running")
    assert running.killed.is_set()
    assert not fake.tasks


def test_what_a_role_does_not_allow_is_told_with_what_it_does(
    user: User, fake: FakeServer, running: FakeTask
) -> None:
    fake.api.may_kill = False
    assert "flower-v6 delete 1 --running" in user.fails("kill", "1")
    fake.api.may_delete = False
    said = user.fails("delete", "1", "--running")
    assert "does not allow you to delete task 3 (train 1: Beta)" in said
    assert len(fake.tasks) == 3


def test_a_run_that_has_ended_is_not_killed(user: User, running: FakeTask) -> None:
    running.status = "completed"
    assert "Task 1 has ended already: completed" in user.fails("kill", "1")


@pytest.mark.parametrize("command", ["kill", "delete"])
def test_only_a_run_is_killed_or_deleted(
    user: User, fake: FakeServer, running: FakeTask, command: str
) -> None:
    assert "There is no task 99" in user.fails(command, "99")
    assert "Task 3 (train 1: Beta) is only a part of task 1" in user.fails(command, "3")
    other = fake.create_task(Asked("average", "an/image", 1, 1, {"method": "average"}))
    assert "its function is 'average'" in user.fails(command, str(other.id))


@pytest.mark.parametrize("failure", [Failure.ERROR, Failure.LOST, Failure.ANSWER_LOST])
def test_a_deletion_that_was_interrupted_may_be_repeated(
    user: User, fake: FakeServer, running: FakeTask, failure: Failure
) -> None:
    fake.fail_next(failure, "DELETE task/2")
    user.fails("delete", "1", "--running")
    user.sees("delete", "1", "--running")
    assert not fake.tasks
    assert not fake.unreachable


# Fetching


def submitted(user: User) -> None:
    """Have task 1 ended."""
    user.sees("submit", "an/image")


def test_an_outcome_is_run_json_and_the_files(user: User, nodes: Nodes, tmp_path: Path) -> None:
    nodes.result = outcome({"model.npz": MODEL, "plots/loss.txt": b"0.3"})
    submitted(user)
    user.sees("fetch", "1", "--output", str(tmp_path / "new" / "folder"))
    output = tmp_path / "new" / "folder"
    assert (output / "model.npz").read_bytes() == MODEL
    assert (output / "plots" / "loss.txt").read_bytes() == b"0.3"
    report = user.report(output)
    assert report == {key: nodes.result[key] for key in nodes.result if key != "files"}


@pytest.mark.parametrize("name", ["model.npz", "run.json"])
def test_a_file_that_is_there_is_not_overwritten(user: User, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    submitted(user)
    said = user.fails("fetch", "1", "--output", str(tmp_path))
    assert f"{tmp_path} has a file '{name}' already" in said
    assert (tmp_path / name).read_text() == "mine"
    assert not {"model.npz", "run.json"} & {path.name for path in tmp_path.iterdir()} - {name}


def test_files_beside_the_outcome_stay(user: User, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    submitted(user)
    user.sees("fetch", "1", "--output", str(tmp_path))
    assert (tmp_path / "model.npz").read_bytes() == MODEL
    assert (tmp_path / "notes").read_text() == "mine"


def test_no_task_is_submitted_whose_outcome_would_overwrite_another(
    user: User, fake: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("earlier")
    said = user.fails("submit", "an/image", "--output", str(tmp_path))
    assert "Give a new folder with --output" in said
    assert not fake.tasks


def test_members_of_a_newer_release_are_in_run_json_too(
    user: User, nodes: Nodes, tmp_path: Path
) -> None:
    nodes.result = outcome(energy={"kWh": 3})
    submitted(user)
    user.sees("fetch", "1", "--output", str(tmp_path))
    assert user.report(tmp_path)["energy"] == {"kWh": 3}


def test_what_a_result_had_no_room_for_is_told(user: User, nodes: Nodes, tmp_path: Path) -> None:
    nodes.result = outcome(left_out=["metrics", "rounds"])
    submitted(user)
    assert "run.json lacks metrics, rounds" in user.sees("fetch", "1", "--output", str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/tmp/evil",  # noqa: S108
        "link/evil",
        "..\\evil",
        "C:\\evil",
        "",
        ".",
        "..",
        "nul\0",
        "\ud800",
        "run.json",
        "./run.json",
    ],
)
def test_a_file_that_would_not_be_in_the_folder_is_refused_with_all_others(
    user: User, nodes: Nodes, tmp_path: Path, name: str
) -> None:
    output, outside = tmp_path / "out", tmp_path / "outside"
    output.mkdir()
    outside.mkdir()
    (output / "link").symlink_to(outside)
    nodes.result = outcome({"model.npz": MODEL, name: b"evil"})
    submitted(user)
    assert repr(name) in user.fails("fetch", "1", "--output", str(output))
    assert [path.name for path in output.iterdir()] == ["link"]
    assert not list(outside.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"out", "outside"}


def test_a_folder_that_cannot_be_written_is_named(user: User, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = str(tmp_path / "file" / "folder")
    submitted(user)
    assert f"{output} cannot be written" in user.fails("fetch", "1", "--output", output)


def test_a_task_that_has_not_ended_has_no_outcome_yet(user: User, fake: FakeServer) -> None:
    fake.start_central()
    said = user.fails("fetch", "1", "--output", "out")
    assert "Task 1 is active" in said
    assert "flower-v6 watch 1" in said


def test_a_task_that_left_nothing_shows_its_cause_and_log(user: User, nodes: Nodes) -> None:
    nodes.end, nodes.result = "crashed", b""
    nodes.log = "".join(f"line {number}\n" for number in range(100))
    user.fails("submit", "an/image")
    said = user.fails("fetch", "1", "--output", "out")
    assert "Task 1 has no outcome: it ended as crashed" in said
    assert "line 99" in said
    assert "line 1\n" not in said


def test_a_task_that_was_refused_says_why(user: User, nodes: Nodes) -> None:
    nodes.end, nodes.result = "crashed", b'{"error": "There is no argument \'rounds\'."}'
    user.fails("submit", "an/image")
    said = user.fails("fetch", "1", "--output", "out")
    assert "Task 1 was refused before the app started: There is no argument 'rounds'." in said


@pytest.mark.parametrize(
    "result",
    [
        *(b"not JSON", b"[]", b'{"status": "completed"}', b'{"files": {"a": 1}}'),
        *(outcome(seconds="long"), outcome(schema=2), outcome(messages=[{}])),
        *(b"[" * 100_000, b'{"files": {}, "seconds": NaN}'),
    ],
)
def test_what_is_no_outcome_is_said_to_be_none(user: User, nodes: Nodes, result: Any) -> None:
    nodes.result = result
    submitted(user)
    said = user.fails("fetch", "1", "--output", str(user.folder / "out"))
    assert "result of task 1" in said or "damaged" in said


def test_an_encrypted_outcome_wants_the_key_it_was_encrypted_for(
    user: User, fake: FakeServer, tmp_path: Path
) -> None:
    fake.add_collaboration("Secret", [1, 2], encrypted=True)
    fake.create_task(Asked("Flower: an/image", "an/image", 2, 1, {}))
    user.has_key_of(2)
    said = user.fails("fetch", "1", "--output", str(tmp_path / "out"))
    assert "is not the private key of Alpha" in said
    user.has_key_of(1)
    user.sees("watch", "1")
    user.sees("fetch", "1", "--output", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model.npz").read_bytes() == MODEL


def test_what_others_wrote_into_an_outcome_is_cleaned(
    user: User, nodes: Nodes, tmp_path: Path
) -> None:
    cause = "\x1b]0;title\x07no station\x1b[2J is left\u202e"
    nodes.result = outcome({}, status="failed", cause=cause, log="\x1b[31m" + "x" * 100_000)
    submitted(user)
    said = user.fails("fetch", "1", "--output", str(tmp_path))
    report = user.report(tmp_path)
    assert report["cause"] == "no station is left"
    assert "did not complete: no station is left" in said
    assert "more characters are cut]" in said
    assert len(said) < 5_000
    assert not {"\x1b", "\x07", "\u202e"} & set(said + report["log"])
