"""Following a task from afar: each thing is shown once, and a server may go away meanwhile."""

import io
from collections.abc import Iterator

import pytest

from algorithm.monitoring.entries import MARK, Entry
from algorithm.monitoring.screen import Screen
from algorithm.researcher.watch import Watcher, check
from algorithm.tests.terminal import Terminal
from algorithm.tests.vantage6 import add_subtask
from proxy.errors import Vantage6Error
from proxy.vantage6.server import TaskStatus
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import Failure, FakeServer, FakeTask


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server whose stations do nothing on their own: the test says how their tasks end."""
    with FakeServer(lambda _: None) as fake:
        yield fake


@pytest.fixture
def central(fake: FakeServer) -> FakeTask:
    return fake.start_central()


class Watched:
    """A task that is watched."""

    def __init__(self, fake: FakeServer, task: FakeTask, stream: io.StringIO) -> None:
        self.server = Server4(fake.url, UserLogin(fake.url, "ada", fake.api.password))
        self._stream = stream
        self.screen = Screen(stream)
        self.entries: list[Entry] = []
        self._watcher = Watcher(self.server, task.id, self.screen, [self.entries.append])

    def look(self) -> list[str]:
        """Look once; returns the lines that are new."""
        before = len(self._stream.getvalue())
        self.status = self._watcher.look()
        return self._stream.getvalue()[before:].splitlines()


@pytest.fixture
def watched(fake: FakeServer, central: FakeTask) -> Watched:
    return Watched(fake, central, io.StringIO())


@pytest.fixture(autouse=True)
def _the_server_may_be_asked_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("algorithm.researcher.watch._SHARE", float("inf"))


def test_each_line_of_the_log_is_shown_once_and_whole(watched: Watched, central: FakeTask) -> None:
    central.log = "round 1\nrou"
    assert watched.look() == ["round 1"]
    assert watched.look() == []
    central.log = "round 1\nround 2\n"
    assert watched.look() == ["round 2"]


def test_of_a_log_that_is_too_large_the_end_is_seen_all_the_same(
    watched: Watched, central: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.vantage6.server._MOST_ANSWER_BYTES", 10_000)
    central.log = "round 1\n" * 10_000
    (said,) = watched.look()
    assert "more than 10,000 bytes. No log is shown any more." in said
    assert watched.look() == []
    central.status = "completed"
    watched.look()
    assert watched.status.completed


def test_the_last_line_need_not_be_whole(watched: Watched, central: FakeTask) -> None:
    central.log = "round 1\ndone"
    watched.look()
    central.status = "completed"
    assert watched.look() == ["done"]


def test_a_log_that_is_sent_anew_is_not_shown_again(watched: Watched, central: FakeTask) -> None:
    central.log = "round 1\nround 2\n"
    watched.look()
    central.log = "round 1\nround 2\nround 3\n"
    central.status = "completed"
    assert watched.look() == ["round 3"]


def test_the_log_of_a_second_start_is_shown(watched: Watched, central: FakeTask) -> None:
    central.log = "start\nround 1\n"
    watched.look()
    central.log = ""
    assert watched.look() == []
    central.log = "start again\n"
    assert watched.look() == ["start again"]


PULLED = Entry(event="pulled", at=1.0, station="Alpha", message_type="train", step=1)
PUSHED = Entry(event="pushed", at=2.0, station="Alpha", message_type="train", step=1)


def test_events_in_the_log_are_told_once_and_not_shown(watched: Watched, central: FakeTask) -> None:
    central.log = f"round 1\n{MARK}{PULLED.text()}\n"
    assert watched.look() == ["round 1"]
    assert watched.entries == [PULLED]
    central.log = f"flower\n{central.log}{MARK}{PUSHED.text()}\r\n"  # sent anew, otherwise
    watched.look()
    assert watched.entries == [PULLED, PUSHED]


def test_an_event_that_the_server_tore_is_told_when_the_log_comes_as_a_whole(
    watched: Watched, central: FakeTask
) -> None:
    central.log = f"{MARK}{PULLED.text()[:40]}\n{PULLED.text()[40:]}\n"
    watched.look()
    assert watched.entries == []
    central.log, central.status = f"{MARK}{PULLED.text()}\n", "completed"
    watched.look()
    assert watched.entries == [PULLED]


def test_an_event_of_a_newer_release_is_passed_over(watched: Watched, central: FakeTask) -> None:
    central.log = f'{MARK}{{"schema": 9}}\n{MARK}{PULLED.text()}\n'
    assert watched.look() == []
    assert watched.entries == [PULLED]


def test_the_end_of_each_subtask_is_shown_once(
    watched: Watched, fake: FakeServer, central: FakeTask
) -> None:
    alpha = add_subtask(fake, central, "train 1: Alpha", 1)
    beta = add_subtask(fake, central, "train 1: Beta", 2)
    assert watched.look() == []
    alpha.status = "completed"
    assert watched.look() == ["flower-v6 | train 1: Alpha: completed"]
    beta.status = "not allowed"
    [line] = watched.look()
    assert line.startswith("flower-v6 | train 1: Beta: not allowed (the node's owner")
    assert watched.look() == []


def test_a_subtask_that_somebody_else_has_tidied_away_is_forgotten(
    watched: Watched, fake: FakeServer, central: FakeTask
) -> None:
    alpha = add_subtask(fake, central, "train 1: Alpha", 1)
    watched.look()
    add_subtask(fake, central, "train 2: Alpha", 1).status = "completed"
    watched.server.delete_task(alpha.id)
    assert watched.look() == ["flower-v6 | train 2: Alpha: completed"]


def test_of_many_subtasks_none_is_missed(
    watched: Watched, fake: FakeServer, central: FakeTask
) -> None:
    host = add_subtask(fake, central, "host: Alpha", 1)
    shown = []
    for number in range(1, 121):
        add_subtask(fake, central, f"train {number}: Alpha", 1).status = "completed"
        if number in (1, 60, 120):
            shown += watched.look()
    assert sorted(shown) == sorted(
        f"flower-v6 | train {number}: Alpha: completed" for number in range(1, 121)
    )
    host.status = "crashed"
    assert len(watched.look()) == 1


def test_a_terminal_shows_what_is_under_way(fake: FakeServer, central: FakeTask) -> None:
    fake.set_node(2, online=False)
    add_subtask(fake, central, "host: Alpha", 1)
    add_subtask(fake, central, "train 1: Alpha", 1)
    add_subtask(fake, central, "train 1: Beta", 2)
    terminal = Terminal()
    watched = Watched(fake, central, terminal)
    watched.look()
    summary = "flower-v6 | task 1 is active | train 1: Beta (pending), Alpha | host: Alpha"
    assert terminal.lines == [summary]
    watched.screen.leave()
    assert terminal.lines == []


def test_a_server_that_is_away_is_waited_for(
    watched: Watched, fake: FakeServer, central: FakeTask
) -> None:
    central.log = "round 1\n"
    watched.look()
    with fake.away():
        [line] = watched.look()
        assert "does not answer" in line
        assert watched.look() == []
        assert not watched.status.ended
        central.log += "round 2\n"
    assert watched.look() == ["round 2", "flower-v6 | the vantage6 server is back"]


@pytest.mark.parametrize("call", ["GET run", "GET task"])
def test_one_answer_that_is_lost_loses_nothing(
    watched: Watched, fake: FakeServer, central: FakeTask, call: str
) -> None:
    add_subtask(fake, central, "train 1: Alpha", 1).status = "completed"
    central.log = "round 1\n"
    fake.fail_next(Failure.ERROR, call)
    shown = watched.look() + watched.look()
    assert shown.count("round 1") == 1
    assert shown.count("flower-v6 | train 1: Alpha: completed") == 1


def test_a_login_that_ends_meanwhile_is_renewed(
    watched: Watched, fake: FakeServer, central: FakeTask
) -> None:
    watched.look()
    fake.expire_tokens("access")
    central.log = "round 1\n"
    assert watched.look() == ["round 1"]


def test_only_a_completed_task_is_well(watched: Watched, central: FakeTask) -> None:
    central.status = "completed"
    watched.look()
    check(watched.server, 1, watched.status, watched.screen)
    with pytest.raises(Vantage6Error, match="Task 1 ended: killed by user"):
        check(watched.server, 1, TaskStatus("killed by user"), watched.screen)


def test_what_a_log_and_names_of_tasks_hold_moves_no_cursor(
    fake: FakeServer, central: FakeTask
) -> None:
    terminal = Terminal()
    watched = Watched(fake, central, terminal)
    central.log = "\x1b[31mround 1\x1b]0;title\x07\x9b2J\u202e\n" + "x" * 100_000 + "\n"
    add_subtask(fake, central, "train 1: Al\x1b[1Apha\nforged", 1).status = "completed"
    watched.look()
    watched.screen.leave()
    lines = terminal.lines
    assert lines[0] == "round 1"
    assert any("more characters are cut]" in line for line in lines)
    assert lines[-1] == "flower-v6 | train 1: Alpha forged: completed"
    assert terminal.title == ""
    assert not {"\x07", "\x9b", "\u202e"} & set(terminal.getvalue())
