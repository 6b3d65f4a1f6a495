"""The one envelope in which Fleet messages travel between the two proxies.

A bundle is a file:

    magic (8 bytes), format version (u16), header length (u32), header (protobuf `Header`)
    for each object:  "O", object id (32 bytes), size (u64), blocks
    "E", footer length (u32), footer (protobuf `Footer`), digest (32 bytes)

with all numbers big-endian. An object is content-addressed: its id is the SHA-256 of its content,
as in Flower. Its content is cut into blocks of `BLOCK_BYTES`; each block is its stored length
(u32) and its bytes, zlib-compressed exactly if stored shorter than it is.

The digest is a SHA-256 over all that stands before it, with each object's blocks represented by
the object's id, that is by their own SHA-256: so one pass of hashing covers every byte.

Both ends work object by object: `BundleWriter` appends them as they come, `Bundle` checks a whole
file once and then reads single objects from it. Memory does not grow with the model.

What a bundle may expand to is bounded by what came: all objects together have at most `FREE_BYTES`
plus `MOST_EXPANDED` times the bytes of the bundle. Models of zeros keep to that, because the writer
does: where a block, compressed, would break the rule, it is stored as it is, so a gigabyte of zeros
takes ten megabytes. Checking needs memory for one block. Memory for an object is taken only when it
is read, and the reader says how many bytes an object of that kind may have: arrays are limited by
the rule alone, `ANNOUNCEMENT_BYTES` and `APP_BYTES` are for what protobuf or zip would expand
further. Header and footer have small limits of their own.
"""

import hashlib
import math
import os
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Self

from google.protobuf.message import DecodeError

from protos.bundle_pb2 import Footer, Header
from proxy import __version__
from proxy.blocks import BLOCK_BYTES, Blocks, Data, Reader, sha256_of, size_of
from proxy.errors import BundleError, BundleUnwritten

MAGIC = b"FLWRV6B\n"
FORMAT_VERSION = 2
WRITER = f"flower-v6 {__version__}"

FREE_BYTES = 16 << 20
MOST_EXPANDED = 100
# A message's object tree, with which it is pulled or pushed: the ids of some 100,000 arrays.
ANNOUNCEMENT_BYTES = 16 << 20
# An answer to GetFab: Flower builds no FAB above 10 MiB (FAB_MAX_SIZE, flwr 1.41,
# `common/constant.py`).
APP_BYTES = 11 << 20
# The stages that a station measures. Others, of a newer release or invented, are left out.
STAGES = ("handover", "clientapp", "collect")

_PREFIX = Struct(">8sHI")
_OBJECT = Struct(">32sQ")
_LENGTH = Struct(">I")
_OBJECT_TAG, _END_TAG = b"O", b"E"
# A block is compressed only if its start shrinks to less than this: zeros do, trained weights not.
# Their last tenth is not worth the time, 35 ms a megabyte.
_SAMPLE_BYTES = 4096
_WORTH_COMPRESSING = 0.7
# A head names an object's children, 65 bytes each.
_MAX_HEAD_BYTES = 8 << 20


@dataclass(frozen=True)
class Limits:
    """What a reader accepts, checked before anything of that size is allocated.

    The defaults are meant to stop nonsense, not models: protobuf ends at 2 GiB a message.
    """

    bundle_bytes: int = 64 << 30
    # It holds the answer to GetRun, or the reason of a failure.
    header_bytes: int = 4 << 20
    footer_bytes: int = 64 << 10
    objects: int = 1_000_000
    object_bytes: int = 2 << 30
    expanded_bytes: int = 128 << 30


DEFAULT_LIMITS = Limits()


class BundleWriter:
    """Writes one bundle; the file appears under its name only when it is complete.

    Safe to use from several threads. As a context manager it discards what was not closed.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.object_bytes = 0
        self._expanded = 0
        header.writer = WRITER
        encoded = header.SerializeToString()
        self._part = path.with_name(path.name + ".part")
        self._lock = threading.Lock()
        self._written: set[str] = set()
        self._digest = hashlib.sha256()
        _limit("Bundle's header", len(encoded), "bytes", DEFAULT_LIMITS.header_bytes)
        try:
            self._file: BinaryIO = self._part.open("wb")
        except OSError as error:
            raise _unwritable(path, error) from error
        self._write(_PREFIX.pack(MAGIC, FORMAT_VERSION, len(encoded)) + encoded)

    def add(self, object_id: str, content: Data) -> int:
        """Append an object; one that the bundle already holds is not written again.

        Returns
        -------
        int
            The bytes that it takes in the bundle.

        Raises
        ------
        BundleError
            If the content is not what the id says, or cannot be written.
        """
        if sha256_of(content) != object_id:
            raise BundleError(f"Object {object_id} is not what its id says: it was altered.")
        with self._lock:
            if object_id in self._written:
                return 0
            start = self._file.tell()
            self._written.add(object_id)
            size, reader = size_of(content), Reader(content)
            self.object_bytes += size
            self._write(_OBJECT_TAG + _OBJECT.pack(bytes.fromhex(object_id), size))
            while reader.left:
                stored = self._packed(reader.read(min(BLOCK_BYTES, reader.left)))
                self._write(_LENGTH.pack(len(stored)), hashed=False)
                self._write(stored, hashed=False)
            return self._file.tell() - start

    def close(self, seconds: Mapping[str, float] | None = None) -> None:
        """Complete the bundle; `seconds` by stage are kept in its footer."""
        footer = Footer(seconds=seconds or {}).SerializeToString()
        with self._lock:
            self._write(_END_TAG + _LENGTH.pack(len(footer)) + footer)
            self._write(self._digest.digest(), hashed=False)
            try:
                self._file.close()
                self._part.replace(self.path)
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def discard(self) -> None:
        """Remove what was written, unless the bundle is complete."""
        with suppress(OSError):  # what a full disk did not take is not missed
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _packed(self, block: bytes) -> bytes:
        """Return a block as it is stored: compressed where that pays and the rule allows it."""
        self._expanded += len(block)
        packed = _pack_block(block)
        if self._expanded > _expansion(self._file.tell() + len(packed)):
            return block
        return packed

    def _write(self, data: bytes | memoryview, hashed: bool = True) -> None:
        if hashed:
            self._digest.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()


class Bundle:
    """A bundle that was read through once and found sound; its objects are read on demand.

    Parameters
    ----------
    path : Path
        A complete bundle. It must not change while it is in use.
    limits : Limits
        What to accept.

    Raises
    ------
    BundleError
        If anything about the file is wrong; nothing of it is used then.
    """

    header: Header
    # By stage; what is no number of seconds is left out.
    seconds: Mapping[str, float]

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BundleError(f"Bundle {path} cannot be read: {error.strerror}.") from error
        try:
            self._check(limits)
        except BaseException:
            self._file.close()
            raise

    @property
    def object_ids(self) -> Collection[str]:
        """The ids of the objects in the bundle."""
        return self._places.keys()

    @property
    def object_bytes(self) -> int:
        """The size of all objects together, uncompressed."""
        return sum(size for _, size in self._places.values())

    def read(self, object_id: str, at_most: int | None = None) -> bytes:
        """Return an object's content.

        Parameters
        ----------
        object_id : str
            Its id.
        at_most : int | None
            How many bytes an object of this kind may have; None for an array's.

        Raises
        ------
        KeyError
            If the bundle does not hold the object.
        BundleError
            If it is larger.
        """
        _, size = self._places[object_id]
        if at_most is not None:
            _limit(f"Object {object_id}", size, "bytes", at_most)
        content = BytesIO()  # gives its bytes away without a copy, which joining blocks would be
        for block in self.blocks(object_id):
            content.write(block)
        return content.getvalue()

    def head(self, object_id: str) -> tuple[bytes, int]:
        """Return what stands before an object's first NUL, and the object's size.

        Raises
        ------
        KeyError
            If the bundle does not hold the object.
        """
        _, size = self._places[object_id]
        head = bytearray()
        for block in self.blocks(object_id):
            head += block
            if b"\0" in block or len(head) > _MAX_HEAD_BYTES:
                break
        return bytes(head.partition(b"\0")[0]), size

    def object(self, object_id: str) -> "BundleObject":
        """Return an object whose content is read when it is needed; raises as `read` does."""
        return BundleObject(self, object_id, self._places[object_id][1])

    def blocks(self, object_id: str) -> Iterator[bytes]:
        """Yield an object's content; others may read meanwhile."""
        offset, size = self._places[object_id]
        for remaining in range(size, 0, -BLOCK_BYTES):
            with self._lock:
                self._file.seek(offset)
                (block,) = _blocks(_Source(self._file, self.path), min(remaining, BLOCK_BYTES))
                offset = self._file.tell()
            yield block

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, limits: Limits) -> None:
        total = os.fstat(self._file.fileno()).st_size
        _limit("Bundle", total, "bytes", limits.bundle_bytes)
        source = _Source(self._file, self.path)
        magic, version, length = _PREFIX.unpack(source.take(_PREFIX.size))
        if magic != MAGIC:
            raise BundleError(f"{self.path} is not a bundle: it starts with {magic!r}.")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"Bundle {self.path} has format {version}, this bridge reads {FORMAT_VERSION}.",
                "Use the same flower-v6 release at the central and at the stations.",
            )
        _limit("Bundle's header", length, "bytes", limits.header_bytes)
        encoded = source.take(length)
        digest = hashlib.sha256(_PREFIX.pack(magic, version, length) + encoded)
        expanded, most_expanded = 0, min(limits.expanded_bytes, _expansion(total))
        while (tag := source.take(1)) == _OBJECT_TAG:
            place = source.take(_OBJECT.size)
            digest.update(tag + place)
            raw_id, size = _OBJECT.unpack(place)
            object_id: str = raw_id.hex()
            expanded += size
            _limit("Bundle", len(self._places) + 1, "objects", limits.objects)
            _limit(f"Object {object_id}", size, "bytes", limits.object_bytes)
            _limit("Bundle", expanded, "bytes once expanded", most_expanded)
            if object_id in self._places:
                raise BundleError(f"Bundle {self.path} is damaged: it holds {object_id} twice.")
            self._places[object_id] = (source.tell(), size)
            content = hashlib.sha256()
            for block in _blocks(source, size):
                content.update(block)
            if content.digest() != raw_id:
                raise BundleError(f"Object {object_id} in bundle {self.path} is damaged.")
        if tag != _END_TAG:
            raise BundleError(
                f"Bundle {self.path} is damaged: it has {tag!r} where an object starts."
            )
        length_field = source.take(_LENGTH.size)
        (length,) = _LENGTH.unpack(length_field)
        _limit("Bundle's footer", length, "bytes", limits.footer_bytes)
        footer = source.take(length)
        digest.update(tag + length_field + footer)
        if source.take(digest.digest_size) != digest.digest():
            raise BundleError(f"Bundle {self.path} is damaged: its SHA-256 does not match.")
        if source.tell() != total:
            raise BundleError(f"Bundle {self.path} is damaged: it has bytes after its end.")
        try:
            self.header = Header.FromString(encoded)
            self.seconds = _sensible(Footer.FromString(footer).seconds)
        except DecodeError as error:
            raise BundleError(f"Bundle {self.path} has an unreadable header or footer.") from error


@dataclass
class BundleObject(Blocks):
    """An object of a bundle."""

    bundle: Bundle
    object_id: str
    size: int

    def blocks(self) -> Iterator[bytes]:
        """Yield its content."""
        return self.bundle.blocks(self.object_id)


class _Source:
    """Reads exact numbers of bytes from a file, or says that it is truncated."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self.path = path
        self.tell = file.tell

    def take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise BundleError(f"Bundle {self.path} is truncated at byte {self._file.tell()}.")
        return data


def _pack_block(block: bytes) -> bytes:
    sample = block[:_SAMPLE_BYTES]
    if len(zlib.compress(sample, 1)) < _WORTH_COMPRESSING * len(sample):
        packed = zlib.compress(block, 1)
        if len(packed) < len(block):
            return packed
    return block


def _blocks(source: _Source, size: int) -> Iterator[bytes]:
    """Yield an object's content block by block."""
    while size > 0:
        expected = min(size, BLOCK_BYTES)
        (stored,) = _LENGTH.unpack(source.take(_LENGTH.size))
        if stored > expected:
            raise BundleError(
                f"Bundle {source.path} is damaged: a block is longer than the format allows."
            )
        block = source.take(stored)
        if stored < expected:
            inflater = zlib.decompressobj()
            try:
                block = inflater.decompress(block, expected)
            except zlib.error as error:
                raise BundleError(f"Bundle {source.path} has a damaged block: {error}.") from error
            if len(block) != expected or not inflater.eof:
                raise BundleError(
                    f"Bundle {source.path} is damaged: a block does not unpack to the size that"
                    " it states."
                )
        yield block
        size -= expected


def _expansion(stored: int) -> int:
    """Return how many bytes a bundle of some size may expand to."""
    return FREE_BYTES + MOST_EXPANDED * stored


def _sensible(seconds: Mapping[str, float]) -> dict[str, float]:
    return {
        stage: value
        for stage, value in seconds.items()
        if stage in STAGES and math.isfinite(value) and value >= 0
    }


def _limit(subject: str, value: int, unit: str, limit: int) -> None:
    if value > limit:
        raise BundleError(f"{subject} has {value:,} {unit}; the limit is {limit:,}.")


def _unwritable(path: Path, error: OSError) -> BundleUnwritten:
    return BundleUnwritten(
        f"Bundle {path} cannot be written: {error.strerror}.",
        "Check whether the disk is full.",
    )
