"""Nothing that was started stays behind: neither processes nor folders, however we end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.system.process import Process, Workspace
from proxy.tests.helpers import pid_in, runs, wait_until

SECONDS = 60.0
ENVIRONMENT = {"PATH": os.environ["PATH"]}
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux only")

# Leaves its parent and its process group, as Flower's SuperExec does, and ignores SIGTERM if told.
ESCAPE = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""
PYTHON = (sys.executable, "-I", "-S", "-c")


class Starter:
    """Starts processes that log to one file; those that a test leaves are ended after it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.started: list[Process] = []

    def __call__(self, *command: str, grace: float = 1.0, alone: bool = False) -> Process:
        process = Process(command, ENVIRONMENT, self.log, grace, alone)
        self.started.append(process)
        return process

    def script(self, *lines: str, grace: float = 1.0, alone: bool = False) -> Process:
        return self("sh", "-c", "\n".join(lines), grace=grace, alone=alone)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    for process in starter.started:
        process.stop()


def escapees(start: Starter, folder: Path, then: str, options: Sequence[str] = ()) -> int:
    """Start a command with an escaped grandchild, and return the grandchild's process id."""
    pid = folder / "pid"
    script = f'"$@"; until test -e {pid}; do sleep 0.02; done; {then}'
    start("sh", "-c", script, "sh", *PYTHON, ESCAPE, str(pid), *options)
    return pid_in(pid)


# One process


@pytest.mark.parametrize("alone", [False, True], ids=["with a keeper", "alone"])
def test_a_process_tells_its_exit_code_and_what_it_wrote(start: Starter, alone: bool) -> None:
    process = start.script("echo out", "echo err >&2", "exit 7", alone=alone)
    assert process.wait(SECONDS)
    assert not process.running
    assert process.exit_code == 7
    assert process.log_tail() == "out\nerr"


def test_a_process_that_still_runs_has_no_exit_code(start: Starter) -> None:
    process = start.script("sleep 600")
    assert not process.wait(0.0)
    assert process.running
    assert process.exit_code is None


def test_a_process_that_a_signal_ended_has_an_exit_code_above_128(start: Starter) -> None:
    process = start.script("kill -KILL $$")
    assert process.wait(SECONDS)
    assert process.exit_code == 128 + signal.SIGKILL


def test_a_program_that_does_not_exist_is_said_in_the_log(start: Starter) -> None:
    process = start("no-such-program")
    assert process.wait(SECONDS)
    assert process.exit_code == 127
    assert "no-such-program" in process.log_tail()


def test_a_process_finds_nothing_on_its_standard_input(start: Starter) -> None:
    process = start.script("cat", "echo the end")
    assert process.wait(SECONDS)
    assert process.log_tail() == "the end"


def test_a_process_has_the_environment_that_it_was_given_and_no_other(tmp_path: Path) -> None:
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    given = {"ONLY": "this", "LC_ALL": "C.UTF-8"}
    process = Process([*PYTHON, show], given, tmp_path / "log")
    assert process.wait(SECONDS)
    process.stop()
    assert json.loads(process.log_tail()) == given


def test_a_log_is_appended_to_and_its_tail_is_ones_own(start: Starter) -> None:
    for number in range(3):
        process = start.script(f"echo of {number}", "echo end")
        assert process.wait(SECONDS)
        assert process.log_tail() == f"of {number}\nend"
    assert process.log_tail(1) == "end"
    assert start.log.read_text().count("end") == 3


def test_a_process_is_not_met_by_a_signal_from_the_terminal(start: Starter) -> None:
    process = start(*PYTHON, "import os; print(os.getsid(0))")
    assert process.wait(SECONDS)
    assert int(process.log_tail()) != os.getsid(0)


# Its end


@pytest.mark.parametrize("alone", [False, True], ids=["with a keeper", "alone"])
def test_a_process_that_is_stopped_has_ended(start: Starter, alone: bool) -> None:
    process = start.script("echo $$", "exec sleep 600", alone=alone)
    assert wait_until(process.log_tail)
    pid = int(process.log_tail())
    assert runs(pid)
    process.stop()
    assert not process.running
    assert not runs(pid)


def test_stopping_twice_or_what_has_ended_does_no_harm(start: Starter) -> None:
    process = start.script("exit 3")
    assert process.wait(SECONDS)
    process.stop()
    process.stop()
    assert process.exit_code == 3


def test_a_process_may_end_in_its_own_way_when_it_is_stopped(
    start: Starter, tmp_path: Path
) -> None:
    process = start.script(
        f"trap 'echo saved > {tmp_path}/saved; exit 0' TERM",
        f"touch {tmp_path}/ready",
        "while true; do sleep 0.05; done",
        grace=SECONDS,
    )
    assert wait_until((tmp_path / "ready").exists)
    process.stop()
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_a_process_that_does_not_end_in_its_own_way_is_killed(
    start: Starter, tmp_path: Path
) -> None:
    process = start.script(
        *("trap '' TERM", f"echo $$ > {tmp_path}/pid", "while true; do sleep 0.05; done"),
        grace=0.2,
    )
    pid = pid_in(tmp_path / "pid")
    process.stop()
    assert not runs(pid)


# Its descendants


@ONLY_LINUX
@pytest.mark.parametrize("options", [(), ("stubborn",)], ids=["willing", "stubborn"])
def test_a_grandchild_that_left_its_family_ends_when_the_process_is_stopped(
    start: Starter, tmp_path: Path, options: Sequence[str]
) -> None:
    grandchild = escapees(start, tmp_path, then="sleep 600", options=options)
    assert runs(grandchild)
    start.started[0].stop()
    assert not runs(grandchild)


@ONLY_LINUX
def test_a_grandchild_that_left_its_family_ends_when_the_process_ends_by_itself(
    start: Starter, tmp_path: Path
) -> None:
    grandchild = escapees(start, tmp_path, then="exit 5")
    assert start.started[0].wait(SECONDS)
    assert start.started[0].exit_code == 5
    assert not runs(grandchild)


@ONLY_LINUX
def test_a_grandchild_ends_when_the_keeper_is_told_to_end(start: Starter, tmp_path: Path) -> None:
    grandchild = escapees(start, tmp_path, then="sleep 600")
    os.kill(start.started[0]._popen.pid, signal.SIGTERM)
    assert start.started[0].wait(SECONDS)
    assert not runs(grandchild)


HOLDER = f"""
import pathlib, sys, time
from proxy.system.process import Process, Workspace
workspace = Workspace()
(workspace.path / "inside").mkdir()
(workspace.path / "inside" / "file").write_text("content")
command = ["sh", "-c", '"$@"; exec sleep 600', "sh", *{PYTHON!r}, {ESCAPE!r}, sys.argv[1]]
process = Process(command, {ENVIRONMENT!r}, workspace.path / "log", grace=0.5)
print(workspace.path, flush=True)
time.sleep(600)
"""


@ONLY_LINUX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_when_we_are_killed_nothing_of_ours_stays(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-P", "-c", HOLDER, str(tmp_path / "pid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        grandchild = pid_in(tmp_path / "pid")
        assert runs(grandchild)
        assert (folder / "inside" / "file").exists()
        holder.send_signal(number)
    assert wait_until(lambda: not runs(grandchild))
    assert wait_until(lambda: not folder.exists())


@ONLY_LINUX
def test_a_command_that_ends_just_when_it_is_to_be_ended_ended_by_itself() -> None:
    program = """
import os, subprocess, sys
from proxy.system.keeper import _end_all
child = subprocess.Popen([sys.executable, "-ISc", "raise SystemExit(7)"])
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
print(_end_all(child.pid, 1.0))
"""
    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert ended.stdout == b"7\n"


@ONLY_LINUX
def test_when_a_keeper_is_killed_its_command_ends(start: Starter, tmp_path: Path) -> None:
    process = start.script(
        f"echo $$ > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/pid; exec sleep 600"
    )
    command = pid_in(tmp_path / "pid")
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not runs(command), SECONDS)


# Folders


def test_a_workspace_is_removed_with_all_that_is_in_it() -> None:
    with Workspace() as workspace:
        (workspace.path / "inside").mkdir()
        (workspace.path / "inside" / "file").write_text("content")
    assert not workspace.path.exists()


def test_a_workspace_is_removed_when_something_goes_wrong_in_it() -> None:
    with pytest.raises(ZeroDivisionError), Workspace() as workspace:
        raise ZeroDivisionError
    assert not workspace.path.exists()


def test_a_workspace_is_nobody_elses_to_read() -> None:
    with Workspace() as workspace:
        assert workspace.path.stat().st_mode & 0o077 == 0
