"""A script of the direct mode that runs in Flower's interpreter, and the pipe to it.

What passes the pipe are frames: a letter, a length (8 bytes, big-endian), and so many bytes.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from algorithm.flower import Flower
from proxy.errors import FlowerError
from proxy.process import Process

# No frame is larger: a message in protobuf's form has less than 2 GiB.
_MAX_BYTES = 2 << 30


class Script:
    """A running script.

    Parameters
    ----------
    flower : Flower
        Has the interpreter.
    script : Path
        The script.
    home : Path
        Its Flower home.
    log : Path
        Where its output is appended.
    """

    def __init__(self, flower: Flower, script: Path, home: Path, log: Path) -> None:
        self._pipe, theirs = socket.socketpair()
        self._sending = threading.Lock()
        with theirs:
            self.process = Process(
                flower.command("python", str(script), str(theirs.fileno())),
                flower.environment(home),
                log,
                pass_fds=[theirs.fileno()],
            )

    def send(self, kind: bytes, data: bytes | memoryview, until: float | None = None) -> None:
        """Send a frame; safe to use from several threads.

        Parameters
        ----------
        kind : bytes
            Its letter.
        data : bytes
            What is in it.
        until : float | None
            When to give up, in seconds of `time.monotonic`; None for never.

        Raises
        ------
        EOFError
            If the script has ended.
        TimeoutError
            If it did not take the frame in time.
        """
        with self._sending, self._ending_at(until):
            self._pipe.sendall(kind + len(data).to_bytes(8, "big"))
            self._pipe.sendall(data)

    def receive(self, until: float | None = None) -> tuple[bytes, bytes]:
        """Return the next frame's letter, and what is in it; from one thread.

        Raises
        ------
        EOFError
            If the script has ended.
        TimeoutError
            If nothing came in time.
        FlowerError
            If what came is no frame.
        """
        with self._ending_at(until):
            kind, length = self._exactly(1), int.from_bytes(self._exactly(8), "big")
            if length > _MAX_BYTES:
                raise FlowerError(
                    f"A process of Flower sent {length:,} bytes in one message, more than direct"
                    " mode can take."
                )
            return bytes(kind), bytes(self._exactly(length))

    def stop(self) -> None:
        """End it with all its descendants."""
        self.process.stop()
        self._pipe.close()

    def _exactly(self, length: int) -> memoryview:
        data = memoryview(bytearray(length))
        filled = 0
        while filled < length:
            received = self._pipe.recv_into(data[filled:])
            if not received:
                raise EOFError
            filled += received
        return data

    @contextmanager
    def _ending_at(self, until: float | None) -> Iterator[None]:
        # What comes in pieces may take a little longer: each piece has all of the time.
        self._pipe.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        try:
            yield
        except ConnectionError as error:
            raise EOFError from error
