"""Bytes that may be too many for memory, and are read block by block."""

import hashlib
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

BLOCK_BYTES = 1 << 20


class Blocks(ABC):
    """Bytes that are read from somewhere whenever they are needed; they never change.

    Attributes
    ----------
    size : int
        How many they are.
    """

    size: int
    _sha256 = ""

    @abstractmethod
    def blocks(self) -> Iterator[bytes]:
        """Yield them, in blocks of no particular size."""

    @property
    def sha256(self) -> str:
        """Their SHA-256, in hex; they are read for it once."""
        if not self._sha256:
            digest = hashlib.sha256()
            for block in self.blocks():
                digest.update(block)
            self._sha256 = digest.hexdigest()
        return self._sha256


Data: TypeAlias = bytes | Blocks


def size_of(data: Data) -> int:
    """Return how many bytes it is."""
    return len(data) if isinstance(data, bytes) else data.size


def blocks_of(data: Data) -> Iterator[bytes]:
    """Yield the bytes in blocks."""
    return iter((data,)) if isinstance(data, bytes) else data.blocks()


def in_memory(data: Data) -> bytes:
    """Return all of it."""
    return data if isinstance(data, bytes) else b"".join(data.blocks())


def sha256_of(data: Data) -> str:
    """Return the SHA-256 of it, in hex."""
    return hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else data.sha256


def part_of(data: Data, start: int, size: int) -> Data:
    """Return some bytes from the middle of others; a whole part of `Joined` is returned itself."""
    if isinstance(data, Joined):
        before = 0
        for part in data.parts:
            if before <= start and start + size <= before + size_of(part):
                return part_of(part, start - before, size)
            before += size_of(part)
    return data if (start, size) == (0, size_of(data)) else Part(data, start, size)


class Joined(Blocks):
    """Some bytes behind others.

    Attributes
    ----------
    parts : tuple[Data, ...]
        All of them, in order.
    """

    def __init__(self, *parts: Data) -> None:
        self.parts = parts
        self.size = sum(map(size_of, parts))

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        for part in self.parts:
            yield from blocks_of(part)


class Part(Blocks):
    """Some bytes from the middle of others."""

    def __init__(self, data: Data, start: int, size: int) -> None:
        self._data = data
        self._start = start
        self.size = size

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        reader = Reader(self._data)
        reader.skip(self._start)
        place = 0
        while place < self.size:
            yield reader.read(min(BLOCK_BYTES, self.size - place))
            place += BLOCK_BYTES


class Stored(Blocks):
    """Bytes in a file of their own, which is removed when nobody needs them any more.

    Parameters
    ----------
    folder : Path
        Where the file is made.
    blocks : Iterable[bytes]
        The bytes.

    Raises
    ------
    OSError
        If they cannot be written.
    """

    def __init__(self, folder: Path, blocks: Iterable[bytes | memoryview]) -> None:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="stored-", delete=False) as file:
            self._path = Path(file.name)
            self.remove = weakref.finalize(self, self._path.unlink, missing_ok=True)
            file.writelines(blocks)
            self.size = file.tell()

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        with self._path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK_BYTES):
                yield block


class Reader:
    """Reads bytes from their start to their end.

    Attributes
    ----------
    left : int
        How many are still to be read.
    """

    def __init__(self, data: Data) -> None:
        self.left = size_of(data)
        self._blocks = blocks_of(data)
        self._block = memoryview(b"")

    def read(self, length: int) -> bytes:
        """Return so many bytes.

        Raises
        ------
        EOFError
            If there are fewer.
        """
        if length <= len(self._block):
            return bytes(self._take(length))
        return b"".join(self._pieces(length))

    def skip(self, length: int) -> None:
        """Pass over so many bytes; raises as `read` does."""
        for _ in self._pieces(length):
            pass

    def _pieces(self, length: int) -> Iterator[memoryview]:
        if length > self.left:
            raise EOFError
        while length:
            if not self._block:
                self._block = memoryview(next(self._blocks))
            piece = self._take(min(length, len(self._block)))
            length -= len(piece)
            yield piece

    def _take(self, length: int) -> memoryview:
        piece, self._block = self._block[:length], self._block[length:]
        self.left -= length
        return piece
