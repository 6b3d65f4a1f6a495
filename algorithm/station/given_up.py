"""Ends ClientApps that Flower has given up while they were still starting.

A SuperNode has a process started for a message, and another one if the first has not asked for it
within 30 s (flwr 1.41, `supercore/corestate/in_memory_corestate.py`: a task that is "starting" is
"pending" again). Nobody ends the first. On a busy machine each of them keeps the others from
starting, so there are more and more, and the message is never answered.
"""

import os
import signal
from contextlib import suppress

from algorithm.flower.programs import CLIENTAPP, programs_below

# The newest may get the message; the one before may be busy with its end.
_LEFT = 2


def end_given_up(ancestor: int) -> None:
    """End the ClientApps below a process, but for the newest ones; only Linux tells of them."""
    apps = {
        program.pid: program for program in programs_below(ancestor) if program.name == CLIENTAPP
    }
    # What a ClientApp forks has its name.
    own = [program for program in apps.values() if program.parent not in apps and program.running]
    for app in sorted(own, key=lambda program: (program.started, program.pid))[:-_LEFT]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(app.pid, signal.SIGKILL)
