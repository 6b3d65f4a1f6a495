"""Keeps a process's memory and environment from others. Imports little: couriers start with it."""

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def keep_private() -> None:
    """Keep this process's memory and environment from other processes of its user.

    On Linux, and until it becomes another program. Not from one that may trace all (root outside
    of a container).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
