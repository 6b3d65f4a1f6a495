"""Waits until its standard input closes, then removes a folder. Started by `process`.

    remover.py FOLDER

Whoever starts it holds the other end of its stdin: the folder ends with that process, in whatever
way it ends. Uses nothing but the standard library and starts within milliseconds.
"""

import ctypes
import os
import signal
import sys
import time

_PR_SET_DUMPABLE = 4
_POLL_SECONDS = 0.05
_REMOVE_FOR_SECONDS = 30.0


def main(folder: str) -> None:
    """Wait, then remove the folder."""
    if sys.platform == "linux":
        # Its environment is its starter's, and nobody else's business.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 4096):
        pass
    if os.path.exists(folder):
        _remove(folder)


def _remove(folder: str) -> None:
    import shutil  # noqa: PLC0415 - takes as long as all others; most starters remove it themselves

    # Whoever still writes there is being ended by its own keeper.
    give_up = time.monotonic() + _REMOVE_FOR_SECONDS
    while os.path.exists(folder) and time.monotonic() < give_up:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
