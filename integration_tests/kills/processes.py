"""Which processes there are below this one, and what each is."""

import ctypes
import os
import time

import psutil

from integration_tests.harness import COMMAND, alive, descendants
from integration_tests.kills.rules import Broken

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
_KEEPER = "keeper.py run"


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


def check_all_ended() -> None:
    """Raise `Broken` if a process below this one does not end, and end it."""
    give_up = time.monotonic() + _ENDED_SECONDS
    while left := alive(descendants(os.getpid())):
        if time.monotonic() > give_up:
            lines = [" ".join(psutil.Process(pid).cmdline())[:200] for pid in left]
            for pid in left:
                psutil.Process(pid).kill()
            raise Broken(f"processes are left: {lines}")
        time.sleep(0.1)
