"""A script of the direct mode that runs in Flower's interpreter, and the pipe to it.

What passes the pipe are frames: a letter, a length (8 bytes, big-endian), and so many bytes. A long
one is never in memory: it is sent block by block, and received into a file.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from algorithm.flower.environment import Flower
from proxy.blocks import BLOCK_BYTES, Data, Stored, blocks_of, size_of
from proxy.errors import FlowerError
from proxy.fleet.inline import MAX_WHOLE_BYTES
from proxy.system.process import Process

# What is longer is received into a file.
_IN_MEMORY_BYTES = 1 << 20


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
        Where its output is appended. What it sends is kept beside it.
    variables : Mapping[str, str]
        Environment variables besides Flower's.
    """

    def __init__(
        self,
        flower: Flower,
        script: Path,
        home: Path,
        log: Path,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = log.parent
        self._pipe, theirs = socket.socketpair()
        self._sending = threading.RLock()
        with theirs:
            self.process = Process(
                flower.command("python", str(script), str(theirs.fileno())),
                {**flower.environment(home), **variables},
                log,
                pass_fds=[theirs.fileno()],
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other thread send anything between some frames."""
        with self._sending:
            yield

    def send(self, kind: bytes, data: Data, until: float | None = None) -> None:
        """Send a frame; safe to use from several threads.

        Parameters
        ----------
        kind : bytes
            Its letter.
        data : Data
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
        with self._sending, _as_eof():
            head = kind + size_of(data).to_bytes(8, "big")
            for block in chain([head], blocks_of(data)):
                self._pipe.settimeout(_left(until))
                self._pipe.sendall(block)

    def receive(self, until: float | None = None) -> tuple[bytes, Data]:
        """Return the next frame's letter and content; from one thread.

        Raises
        ------
        EOFError
            If the script has ended.
        TimeoutError
            If nothing came in time.
        FlowerError
            If it is longer than any message.
        OSError
            If it cannot be kept.
        """
        with _as_eof():
            kind, *rest = next(self._received(9, until))
            length = int.from_bytes(bytes(rest), "big")
            if length > MAX_WHOLE_BYTES:
                raise FlowerError(
                    f"A message has {length:,} bytes; the limit is {MAX_WHOLE_BYTES:,}."
                )
            blocks = self._received(length, until)
            if length > _IN_MEMORY_BYTES:
                return bytes([kind]), Stored(self._folder, blocks)
            return bytes([kind]), b"".join(blocks)

    def stop(self) -> None:
        """End it with all its descendants."""
        self.process.stop()
        self._pipe.close()

    def _received(self, length: int, until: float | None) -> Iterator[memoryview]:
        """Yield so many bytes; each block is good until the next one."""
        buffer = memoryview(bytearray(min(length, BLOCK_BYTES)))
        while length:
            block = buffer[:length]
            filled = 0
            while filled < len(block):
                self._pipe.settimeout(_left(until))
                received = self._pipe.recv_into(block[filled:])
                if not received:
                    raise EOFError
                filled += received
            length -= filled
            yield block


@contextmanager
def _as_eof() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise EOFError from error


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.001, until - time.monotonic())
