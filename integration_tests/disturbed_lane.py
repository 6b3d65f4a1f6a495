"""`flower-v6` as it is, but for what happens at its end of each lane.

    python -m integration_tests.disturbed_lane killed CALL MOMENT NUMBER COMMAND...
    python -m integration_tests.disturbed_lane unruly SEED COMMAND...
    python -m integration_tests.disturbed_lane kept COMMAND...

The first kills itself at a call: one of `Mailbox` (`proxy.lanes.mailboxes`), "before" it takes
effect or "after". NUMBER says which of these calls it is, from 1 on; waiting for a letter in vain
is none.
The second does with each letter what stores and brokers may: it is on the lane several times, late,
and after letters that were sent later. The third leaves there what others remove.
"""

import os
import random
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.cli.main import main
from proxy.lanes import urls
from proxy.lanes.mailboxes.mailbox import Mailbox, MailboxUnreachable

# After how many seconds a letter is on the lane, each time; without any it is at once.
_TIMES: Sequence[Sequence[float]] = ((0.0,), (0.0, 0.0), (0.0, 0.7), (0.5,), (1.5, 0.2, 0.2))


class Killed:
    """A mailbox at one of whose calls the process ends."""

    def __init__(self, mailbox: Mailbox, call: str, moment: str, number: int) -> None:
        self._mailbox = mailbox
        self._call, self._moment, self._number = call, moment, number
        self._calls = count(1)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._mailbox, name)

        def call(*arguments: Any) -> Any:
            if self._moment == "before":
                self._die()
            outcome = method(*arguments)
            if self._moment == "after" and (name != "receive" or outcome is not None):
                self._die()
            return outcome

        return call if name == self._call else method

    def _die(self) -> None:
        if next(self._calls) == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


class Unruly:
    """A mailbox whose letters are repeated, late and out of order."""

    def __init__(self, mailbox: Mailbox, chance: random.Random, folder: Path) -> None:
        self._mailbox, self._chance, self._folder = mailbox, chance, folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mailbox, name)

    def send(self, letter: Path) -> None:
        """Leave a letter, now or later."""
        for seconds in self._chance.choice(_TIMES):
            copy = Path(shutil.copy(letter, self._folder / uuid.uuid4().hex))
            if seconds:
                threading.Timer(seconds, self._send, [copy]).start()
            else:
                self._mailbox.send(copy)

    def _send(self, letter: Path) -> None:
        # Nobody waits for what is late when the command ends.
        with suppress(MailboxUnreachable, FileNotFoundError):
            self._mailbox.send(letter)


class Kept:
    """A mailbox that removes nothing."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mailbox, name)

    def done(self, name: str) -> None:
        """Leave a letter there."""

    def wipe(self) -> None:
        """Leave letters there."""


def disturb(wrapped: Callable[[Mailbox], Any]) -> None:
    """Have each mailbox that is opened wrapped."""

    def wrapping(make: Callable[..., Mailbox]) -> Callable[..., Any]:
        return lambda *arguments: wrapped(make(*arguments))

    made = {scheme: wrapping(make) for scheme, make in urls._SCHEMES.items()}
    urls._SCHEMES = made


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    with TemporaryDirectory() as folder:
        if kind == "killed":
            call, moment, number, *command = arguments
            disturb(lambda mailbox: Killed(mailbox, call, moment, int(number)))
        elif kind == "kept":
            command = arguments
            disturb(Kept)
        else:
            seed, *command = arguments
            chance = random.Random(int(seed))  # noqa: S311 - no secret
            disturb(lambda mailbox: Unruly(mailbox, chance, Path(folder)))
        code = main(command)
    sys.exit(code)
