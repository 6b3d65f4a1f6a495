"""`flower-v6` as it is, but that it kills itself when a message comes to a stage.

    python -m integration_tests.killed_at STAGE MOMENT NUMBER COMMAND...

MOMENT is "before" or "after": what the journal has heard of the stage by then. NUMBER says which
event of that stage it is, from 1 on.
"""

import os
import signal
import sys
from itertools import count

from algorithm.cli.main import main
from proxy.central.events import Event
from proxy.journal.journal import Journal

if __name__ == "__main__":
    stage, moment, number, *command = sys.argv[1:]
    trace, events = Journal.trace, count(1)

    def killing(self: Journal, event: Event) -> None:
        """Take an event, or end."""
        if moment == "after":
            trace(self, event)
        if event.stage == stage and next(events) == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        if moment == "before":
            trace(self, event)

    Journal.trace = killing  # type: ignore[method-assign]
    sys.exit(main(command))
