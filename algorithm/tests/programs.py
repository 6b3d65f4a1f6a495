"""Processes that have the names of Flower's programs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

# Starts a command as often as it is told, and stays.
PARENT = """
import subprocess, sys
for line in sys.stdin:
    print(subprocess.Popen(line.strip().split("\\t")).pid, flush=True)
"""


class Parent:
    """A process below which others are started.

    Parameters
    ----------
    folder : Path
        Where the programs are made.

    Attributes
    ----------
    pid : int
        Its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._started: list[int] = []
        self.pid = self._process.pid

    def start(self, name: str, by_name: bool = False) -> int:
        """Start a program that stays, by Python or `by_name`; returns its process."""
        script = self._folder / name
        if not script.exists():  # another that is starting may be reading it
            script.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
            script.chmod(0o700)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = [str(script)] if by_name else [sys.executable, str(script)]
        self._process.stdin.write("\t".join(command) + "\n")
        self._process.stdin.flush()
        self._started.append(int(self._process.stdout.readline()))
        return self._started[-1]

    def runs(self, pid: int) -> bool:
        """Return whether one of them has not ended."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"

    def end(self) -> None:
        """End all that were started."""
        for pid in filter(self.runs, self._started):
            os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()
