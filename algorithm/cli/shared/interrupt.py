"""What ends the command early: Ctrl-C, a signal, or a reader of its output that went away."""

import signal
import threading
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user, or the system, stops the command."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def heed_signals() -> None:
    """Raise `Interrupted` in the main thread when a signal says to end."""
    for number in _SIGNALS:
        # With nohup and in the background, the caller has a signal ignored on purpose.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def interrupt() -> None:
    """Raise `Interrupted` in the main thread, as when it is told to end; from any thread."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGTERM)  # which nohup does not ignore


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    # Once is enough: what follows is cleaning up, and ends within seconds.
    for heeded in _SIGNALS:
        signal.signal(heeded, signal.SIG_IGN)
    raise Interrupted(number)
