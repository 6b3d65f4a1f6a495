"""Frames from a script that runs in Flower's interpreter."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.flower.script import Script
from proxy.blocks import size_of
from proxy.errors import FlowerError

ERRORS = (EOFError, FlowerError)


def parse(data: bytes) -> None:
    """Receive frames until they end."""
    script = object.__new__(Script)  # without its process
    script._pipe, theirs = socket.socketpair()
    with script._pipe, TemporaryDirectory() as folder:
        script._folder = Path(folder)
        sender = threading.Thread(target=_send, args=(theirs, data))
        sender.start()
        try:
            while True:
                _, content = script.receive()
                assert size_of(content) <= len(data)
        finally:
            script._pipe.shutdown(socket.SHUT_RDWR)
            sender.join()


def _send(pipe: socket.socket, data: bytes) -> None:
    with pipe:
        try:
            pipe.sendall(data)
        except OSError:
            return  # nobody reads to the end what is no frame


def seeds() -> Iterator[bytes]:
    """Make frames."""
    yield b"M" + (3).to_bytes(8, "big") + b"abc" + b"D" + bytes(8)
    yield b"M" + (300_000).to_bytes(8, "big") + bytes(300_000)


def bombs() -> Iterator[bytes]:
    """Lengths without content."""
    for length in ((2 << 30) - 1, (2 << 30) + 1, (1 << 64) - 1):
        yield b"M" + length.to_bytes(8, "big")
