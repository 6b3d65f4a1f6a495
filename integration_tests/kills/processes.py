"""Which processes there are below this one, and what each is."""

import ctypes
import os
import signal
import time

import psutil

from integration_tests.harness import COMMAND, alive, command_line, descendants

_PR_SET_CHILD_SUBREAPER = 36
_ENDED_SECONDS = 60.0
# The first that fits counts.
_KINDS = (
    ("flower-superlink", "SuperLink"),
    ("flower-supernode", "SuperNode"),
    ("run_serverapp.py", "ServerApp"),
    ("flwr-serverapp", "ServerApp"),
    ("run_clientapp.py", "ClientApp"),
    ("flwr-clientapp", "ClientApp"),
    (f"{COMMAND} run", "central"),
    (f"{COMMAND} attach", "central"),
    ("bin/flwr run", "flwr run"),
)
_FUNCTION = "-m algorithm"
_KEEPER = "keeper.py"


def adopt_orphans() -> None:
    """See to it that what loses its parent is still found below this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def by_kind() -> dict[str, list[int]]:
    """Return the processes below this one by what they are."""
    found: dict[str, list[int]] = {}
    for pid in sorted(descendants(os.getpid())):
        try:
            kind = _kind(psutil.Process(pid))
        except psutil.Error:  # it has ended meanwhile
            continue
        if kind:
            found.setdefault(kind, []).append(pid)
    return found


def _kind(process: psutil.Process) -> str:
    """Return what a process is; empty if it is none of ours, or nothing that may be told yet."""
    line, parent = " ".join(process.cmdline()), process.parent()
    above = " ".join(parent.cmdline()) if parent else ""
    if line == above and _named(line) != "ClientApp":
        return ""  # it has yet to become another program
    if _KEEPER in line:
        kept = "host" if line.endswith(_FUNCTION) else _named(line)
        return f"keeper of {kept}" if kept else ""
    if "flower-superexec" in line:
        return f"{_named(above)}'s SuperExec"
    if line.endswith(_FUNCTION):
        return "host" if _KEEPER in above else "courier" if _named(above) == "central" else ""
    return _named(line)


def _named(line: str) -> str:
    return next((kind for part, kind in _KINDS if part in line), "")


def all_ended() -> bool:
    """Wait until all processes below this one have ended; if some do not, they are killed."""
    give_up = time.monotonic() + _ENDED_SECONDS
    while left := alive(descendants(os.getpid())):
        if time.monotonic() > give_up:
            for pid in left:
                print(f"left: {command_line(pid)[:200]}", flush=True)
                os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.1)
    return True
