"""Serving the Fleet API to a SuperNode: the threads around a sans-I/O core.

PullMessages is a long poll: the answer waits until there is a message, so that the SuperNode does
not sleep (3 s after every empty answer, flwr 1.15 to 1.41). All else is answered at once.
"""

import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from proxy.errors import BridgeError

# Over HTTP a SuperNode gives up on a call after 30 s (flwr 1.41, `supercore/protobuf/client.py`).
HOLD_SECONDS = 25.0


class Core(Protocol):
    """Decides what to answer; see `proxy.client.ClientProxy.handle`."""

    def handle(self, method: str, request: bytes, now: float) -> bytes | None:
        """Return the answer; None when there is nothing to say yet."""
        ...


class FleetServer:
    """Serves a core on a free port of the loopback interface, in threads of its own.

    The core is only ever called by one thread at a time.

    Parameters
    ----------
    core : Core
        Decides.
    transport : str
        What the SuperNode's release speaks.
    """

    def __init__(self, core: Core, transport: Literal["grpc", "http"]) -> None:
        self._core = core
        self._changed = threading.Condition()
        self._closed = False
        self._listener = _listener(transport, self.answer)
        self.address = self._listener.address

    def change(self, step: Callable[[float], object]) -> None:
        """Change the core's state: calls `step(now)` while nobody else uses the core."""
        with self._changed:
            step(time.monotonic())
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        """Wait until the core's state is as wished, or `timeout` seconds have passed."""
        with self._changed:
            return self._changed.wait_for(until, timeout)

    def answer(self, method: str, request: bytes) -> bytes:
        """Return the core's answer, holding the call while there is none."""
        give_up = time.monotonic() + HOLD_SECONDS
        with self._changed:
            while True:
                try:
                    answer = self._core.handle(method, request, time.monotonic())
                except BridgeError:
                    self._changed.notify_all()
                    raise
                if answer is not None:
                    self._changed.notify_all()
                seconds_left = give_up - time.monotonic()
                if answer is not None or seconds_left <= 0 or self._closed:
                    return answer or b""
                self._changed.wait(seconds_left)

    def close(self) -> None:
        """Stop serving."""
        self._closed = True
        self.change(lambda _: None)
        self._listener.close()


class _Listener(Protocol):
    """Listens on a port of the loopback interface."""

    address: str

    def close(self) -> None:
        """Stop listening."""
        ...


def _listener(
    transport: Literal["grpc", "http"], answer: Callable[[str, bytes], bytes]
) -> _Listener:
    # Each takes 0.1 s to import, and a station needs one of them at most.
    if transport == "grpc":
        from proxy.transport.grpc import GrpcListener  # noqa: PLC0415

        return GrpcListener(answer)
    from proxy.transport.http_listener import HttpListener  # noqa: PLC0415

    return HttpListener(answer)
