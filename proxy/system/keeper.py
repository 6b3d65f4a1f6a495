"""Runs one command, and sees to it that nothing of it stays behind. Started by `process`.

    keeper.py GRACE FDS COMMAND...   until the command ends, stdin closes, or SIGTERM

The command inherits the file descriptors FDS: numbers, by commas.

Whoever starts a keeper holds the other end of its stdin. When that process ends, in whatever way,
the keeper notices and ends the command with all its descendants: first politely, after GRACE
seconds by SIGKILL. On Linux it adopts orphans, so that also those are found which have left
their parent and its process group, as Flower's SuperExec does. Elsewhere only the command's own
process group is ended.

Uses nothing but the standard library and starts within milliseconds.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.05


def main(arguments: list[str]) -> int:
    """Act as the command line says; returns the exit code."""
    if sys.platform == "linux":
        # Its environment is its starter's, and no business of what it runs.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    fds = [int(number) for number in arguments[1].split(",") if number]
    return _run(float(arguments[0]), fds, arguments[2:])


def _run(grace: float, fds: list[int], command: list[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # A handler, because the command would inherit that a signal is ignored.
    signal.signal(signal.SIGINT, lambda *_: None)
    asked_to_end: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_end.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
            process_group=0,
            preexec_fn=_end_with_us if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    for fd in fds:
        os.close(fd)  # the other end shall see when the command closes it
    code = None
    while code is None and not asked_to_end:
        readable, _, _ = select.select([sys.stdin.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            code = _reap(child.pid)
        if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 4096):
            break
    ended_as = _end_all(child.pid, grace)
    final = code if code is not None else ended_as
    return 128 - final if final < 0 else final


def _end_with_us() -> None:
    """Have this process, the command's, told to end when the keeper has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _end_all(child: int, grace: float) -> int:
    """End the child and all descendants; returns the child's exit code, negative for a signal."""
    code = None
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        give_up = time.monotonic() + seconds
        signalled: set[int] = set()
        while (running := _descendants(child)) and time.monotonic() < give_up:
            for pid in running - signalled:
                _signal(pid, number)
            signalled |= running
            time.sleep(_POLL_SECONDS)
            reaped = _reap(child)
            code = reaped if code is None else code
    if code is None:  # it ended after it was last looked for
        code = _reap(child)
    return -signal.SIGKILL if code is None else code


def _reap(child: int) -> int | None:
    """Collect ended children; returns the exit code of `child` if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def _descendants(child: int) -> set[int]:
    """The processes below this one that still run (not on Linux: the child's group)."""
    if not os.path.isdir("/proc/self"):
        return {-child} if _signal(-child, 0) else set()
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(name))
    descendants: set[int] = set()
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        descendants.update(below)
        todo.extend(below)
    return descendants


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
