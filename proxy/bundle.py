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
"""

import hashlib
import os
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Self

from google.protobuf.message import DecodeError

from protos.bundle_pb2 import Footer, Header
from proxy import __version__
from proxy.errors import BundleError

MAGIC = b"FLWRV6B\n"
FORMAT_VERSION = 2
BLOCK_BYTES = 1 << 20
WRITER = f"flower-v6 {__version__}"

_PREFIX = Struct(">8sHI")
_OBJECT = Struct(">32sQ")
_LENGTH = Struct(">I")
_OBJECT_TAG, _END_TAG = b"O", b"E"
# A block is compressed only if its start shrinks to less than this: zeros do, trained weights not.
# Their last tenth is not worth the time, 35 ms a megabyte.
_SAMPLE_BYTES = 4096
_WORTH_COMPRESSING = 0.7


@dataclass(frozen=True)
class Limits:
    """What a reader accepts, checked before anything of that size is allocated.

    The defaults are meant to stop nonsense, not models: protobuf ends at 2 GiB a message.
    """

    bundle_bytes: int = 64 << 30
    header_bytes: int = 64 << 20
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
        header.writer = WRITER
        encoded = header.SerializeToString()
        self._part = path.with_name(path.name + ".part")
        self._lock = threading.Lock()
        self._written: set[str] = set()
        self._digest = hashlib.sha256()
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise _unwritable(path, error) from error
        self._write(_PREFIX.pack(MAGIC, FORMAT_VERSION, len(encoded)) + encoded)

    def add(self, object_id: str, content: bytes) -> int:
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
        if hashlib.sha256(content).hexdigest() != object_id:
            raise BundleError(f"Object {object_id} was altered: its content does not fit its id.")
        with self._lock:
            if object_id in self._written:
                return 0
            start = self._file.tell()
            self._written.add(object_id)
            self.object_bytes += len(content)
            self._write(_OBJECT_TAG + _OBJECT.pack(bytes.fromhex(object_id), len(content)))
            view = memoryview(content)
            for offset in range(0, len(view), BLOCK_BYTES):
                stored = _pack_block(view[offset : offset + BLOCK_BYTES])
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

    def read(self, object_id: str) -> bytes:
        """Return an object's content.

        Raises
        ------
        KeyError
            If the bundle does not hold the object.
        """
        offset, size = self._places[object_id]
        with self._lock:
            self._file.seek(offset)
            return b"".join(_blocks(_Source(self._file, self.path), size))

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
        expanded = 0
        while (tag := source.take(1)) == _OBJECT_TAG:
            place = source.take(_OBJECT.size)
            digest.update(tag + place)
            raw_id, size = _OBJECT.unpack(place)
            object_id: str = raw_id.hex()
            expanded += size
            _limit("Bundle", len(self._places) + 1, "objects", limits.objects)
            _limit(f"Object {object_id}", size, "bytes", limits.object_bytes)
            _limit("Bundle", expanded, "bytes once expanded", limits.expanded_bytes)
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
        _limit("Bundle's footer", length, "bytes", limits.header_bytes)
        footer = source.take(length)
        digest.update(tag + length_field + footer)
        if source.take(digest.digest_size) != digest.digest():
            raise BundleError(f"Bundle {self.path} is damaged: its SHA-256 does not match.")
        if source.tell() != total:
            raise BundleError(f"Bundle {self.path} is damaged: it has bytes after its end.")
        try:
            self.header = Header.FromString(encoded)
            self.seconds = dict(Footer.FromString(footer).seconds)
        except DecodeError as error:
            raise BundleError(f"Bundle {self.path} has an unreadable header or footer.") from error


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


def _pack_block(block: memoryview) -> bytes | memoryview:
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


def _limit(what: str, value: int, unit: str, limit: int) -> None:
    if value > limit:
        raise BundleError(f"{what} has {value:,} {unit}; the limit is {limit:,}.")


def _unwritable(path: Path, error: OSError) -> BundleError:
    return BundleError(
        f"Bundle {path} cannot be written: {error.strerror}.",
        "Check whether the disk is full.",
    )
