"""Ends ClientApps that Flower has given up while they were still starting.

A SuperNode has a process started for a message, and another one if the first has not asked for it
within 30 s (flwr 1.41, `supercore/corestate/in_memory_corestate.py`: a task that is "starting" is
"pending" again). Nobody ends the first. On a busy machine each of them keeps the others from
starting, so there are more and more, and the message is never answered.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = "flwr-clientapp"
# The newest may get the message; the one before may be busy with its end.
_LEFT = 2
# Where `/proc/<pid>/stat` has them behind the name (proc_pid_stat(5)).
_PARENT, _STARTED = 1, 19


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    started: int
    program: str


def end_given_up(ancestor: int) -> None:
    """End the ClientApps below a process, but for the newest ones; only Linux tells of them."""
    there = {each.pid: each for each in _processes()}
    apps = [each for each in there.values() if each.program == _PROGRAM]
    # What a ClientApp forks has its name.
    own = [each for each in apps if there.get(each.parent) not in apps]
    below = sorted(
        (each for each in own if _is_below(each, ancestor, there)),
        key=lambda each: (each.started, each.pid),
    )
    for each in below[:-_LEFT]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each.pid, signal.SIGKILL)


def _is_below(process: _Process, ancestor: int, there: Mapping[int, _Process]) -> bool:
    above: _Process | None = process
    while above is not None and above.parent != ancestor:
        above = there.get(above.parent)
    return above is not None


def _processes() -> Iterator[_Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        # A script is its interpreter's first argument.
        names = [Path(each).name for each in arguments[:2]]
        program = _PROGRAM if _PROGRAM in names else names[0]
        yield _Process(int(folder.name), int(fields[_PARENT]), int(fields[_STARTED]), program)
