"""ClientApps that Flower has given up do not pile up."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.station.given_up import end_given_up
from proxy.tests.helpers import wait_until

# Starts a program as often as it is told, and stays.
PARENT = """
import subprocess, sys
for line in sys.stdin:
    print(subprocess.Popen([sys.executable, line.strip()]).pid, flush=True)
"""


class Parent:
    """A process below which others are started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._started: list[int] = []
        self.pid = self._process.pid

    def start(self, name: str) -> int:
        """Start a program that stays; returns its process."""
        script = self._folder / name
        if not script.exists():  # another that is starting may be reading it
            script.write_text("import time\ntime.sleep(600)\n")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{script}\n")
        self._process.stdin.flush()
        self._started.append(int(self._process.stdout.readline()))
        return self._started[-1]

    def end(self) -> None:
        """End all that were started."""
        for pid in self._started:
            os.kill(pid, signal.SIGKILL)  # a zombie takes it, too, until its parent ends
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    parent = Parent(tmp_path)
    yield parent
    parent.end()


def alive(pids: list[int]) -> list[bool]:
    """Return which of some processes run."""
    return [_state(pid) not in ("Z", "") for pid in pids]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_only_the_newest_two_go_on(parent: Parent) -> None:
    pids = [parent.start("flwr-clientapp") for _ in range(4)]
    end_given_up(parent.pid)
    wait_until(lambda: alive(pids) == [False, False, True, True])


def test_other_programs_go_on(parent: Parent) -> None:
    pids = [parent.start("flower-superexec") for _ in range(4)]
    end_given_up(parent.pid)
    assert all(alive(pids))


def test_what_belongs_to_another_supernode_goes_on(parent: Parent) -> None:
    pids = [parent.start("flwr-clientapp") for _ in range(4)]
    end_given_up(pids[0])
    assert all(alive(pids))
