"""A tape: every Fleet call between a SuperLink and its SuperNodes, and what came of it, in a file.

The file is an xz stream of records, each a length (u32, big-endian) and a protobuf: first `MAGIC`,
then a `Header`, then `Call`s in the order of their answers (`protos/tape.proto`). Requests and
answers are kept as they went over the wire, with two exceptions:

- What signs a call (public key, timestamp, signature) goes beside it, in headers: no header is
  recorded. So a tape holds no secret but what the app itself sends; the public key in the request
  of RegisterNode and ActivateNode is none.
- The content of an object or FAB of more than `KEPT_BYTES` is left out. Its id stays, which is its
  SHA-256. Content that travels inside its message, until 1.18, is kept whatever its size.

A tape is replayed as if nothing were left out, see `proxy.tapes.replay.stand_ins`.
"""

import lzma
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Literal, TypeAlias

from google.protobuf.message import DecodeError, Message

from protos import fleet_pb2 as fleet
from protos import tape_pb2
from proxy import __version__
from proxy.errors import TapeError

# Takes a call that was recorded.
Add: TypeAlias = Callable[[tape_pb2.Call], None]

MAGIC = b"flower-v6 tape 1\n"
# Far more than an app's code and a small model's arrays take: tapes for tests hold everything.
KEPT_BYTES = 64 << 10

# A tape is held in memory. Real ones expand ten times; many SuperNodes that got the same, more.
FREE_BYTES = 64 << 20
MOST_EXPANDED = 100
_MOST_CALLS = 100_000
# What was compressed with the largest of xz's presets needs half.
_MOST_MEMORY = 128 << 20
_PIECE_BYTES = 1 << 20

_LENGTH = Struct(">I")


@dataclass(frozen=True)
class Call:
    """One Fleet call.

    Attributes
    ----------
    number : int
        Its place on the tape, from 1.
    method : str
        The Fleet method.
    at : float
        When the answer came, in seconds since the epoch.
    request : bytes
        As the SuperNode sent it.
    answer : bytes | None
        As the SuperLink sent it; None if it refused.
    refusal : str
        Why, and with which status, if it refused.
    left_out_bytes : int
        The size of what was left out of request or answer; 0 if nothing was.
    """

    number: int
    method: str
    at: float
    request: bytes
    answer: bytes | None
    refusal: str = ""
    left_out_bytes: int = 0


@dataclass(frozen=True)
class Tape:
    """A tape that was read.

    Attributes
    ----------
    name : str
        Its file's name.
    header : Header
        How it was recorded.
    calls : tuple[Call, ...]
        In the order of their answers.
    """

    name: str
    header: tape_pb2.Header
    calls: tuple[Call, ...]


class TapeWriter:
    """Writes a tape; safe to use from several threads.

    Parameters
    ----------
    path : Path
        Where to; what is there is replaced.
    transport : str
        How the Fleet API is reached.
    about : str
        What is recorded, in words.

    Raises
    ------
    TapeError
        If it cannot be written; here and in every method.
    """

    def __init__(self, path: Path, transport: Literal["grpc", "http"], about: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        header = tape_pb2.Header(
            about=about,
            transport=transport,
            recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            recorder=f"flower-v6 {__version__}",
        )
        try:
            self._file = lzma.open(path, "wb")  # noqa: SIM115 - closed by `close`
            self._file.write(MAGIC)
        except OSError as error:
            raise self._unwritable(error) from error
        self._write(header)

    def add(self, call: tape_pb2.Call) -> None:
        """Append a call, without its object's content if that is large."""
        with suppress(DecodeError):  # what is no Fleet message is kept as it is
            call = _without_large_content(call)
        with self._lock:
            self._write(call)

    def close(self) -> None:
        """Complete the tape."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                raise self._unwritable(error) from error

    def _write(self, record: Message) -> None:
        encoded = record.SerializeToString()
        try:
            self._file.write(_LENGTH.pack(len(encoded)) + encoded)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> TapeError:
        return TapeError(f"Tape {self._path} cannot be written: {error.strerror}.")


def read_tape(path: Path) -> Tape:
    """Read a tape.

    Raises
    ------
    TapeError
        If it is not one, or is damaged, or was cut off.
    """
    try:
        with path.open("rb") as file:
            most = FREE_BYTES + MOST_EXPANDED * os.fstat(file.fileno()).st_size
            records = _records(_Expanding(file, most))
            header = tape_pb2.Header.FromString(next(records))
            calls = [
                _call(number, tape_pb2.Call.FromString(record))
                for number, record in enumerate(islice(records, _MOST_CALLS), start=1)
            ]
            if next(records, None) is not None:
                raise TapeError(f"{path} has more than {_MOST_CALLS:,} calls.")
    except (lzma.LZMAError, EOFError, DecodeError, StopIteration) as error:
        raise TapeError(
            f"{path} is not a tape, or is damaged or cut off: {error}.",
            "Stop a recording with Ctrl-C or SIGTERM, or its tape is not complete.",
        ) from error
    except OSError as error:
        raise TapeError(f"Tape {path} cannot be read: {error.strerror}.") from error
    return Tape(path.name, header, tuple(calls))


class _Expanding:
    """Reads an xz stream, up to a number of bytes."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        # An xz stream says how much memory its reader needs.
        self._xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)

    def take(self, length: int) -> bytes:
        """Return so many bytes; fewer at the end only.

        Raises
        ------
        EOFError
            If the stream ends before it should, or has more bytes than a tape of its size.
        """
        data = bytearray()
        length = min(length, self._most + 1)
        while len(data) < length and not self._xz.eof:
            more = b""
            if self._xz.needs_input and not (more := self._file.read(_PIECE_BYTES)):
                raise EOFError("its end is missing")
            data += self._xz.decompress(more, min(length - len(data), _PIECE_BYTES))
        self._most -= len(data)
        if self._most < 0:
            raise EOFError("it expands to more than a tape of its size can hold")
        return bytes(data)


def _records(tape: _Expanding) -> Iterator[bytes]:
    if tape.take(len(MAGIC)) != MAGIC:
        raise EOFError("it does not start as one of this format")
    while length_field := tape.take(_LENGTH.size):
        (length,) = _LENGTH.unpack(length_field.ljust(_LENGTH.size, b"\0"))
        record = tape.take(length)
        if len(length_field) != _LENGTH.size or len(record) != length:
            raise EOFError("its last record is not whole")
        yield record


def _call(number: int, call: tape_pb2.Call) -> Call:
    refused = call.WhichOneof("outcome") == "refusal"
    return Call(
        number,
        call.method,
        call.at,
        call.request,
        None if refused else call.answer,
        f"{call.refusal.status}: {call.refusal.detail}" if refused else "",
        call.left_out_bytes,
    )


def _without_large_content(call: tape_pb2.Call) -> tape_pb2.Call:
    """Return a call as it is recorded: without the content of an object or FAB that is large."""
    trimmed = tape_pb2.Call()
    trimmed.CopyFrom(call)
    match call.method:
        case "PullObject":
            pulled = fleet.PullObjectResponse.FromString(call.answer)
            trimmed.left_out_bytes = len(pulled.object_content)
            pulled.object_content = b""
            trimmed.answer = pulled.SerializeToString()
        case "PushObject":
            pushed = fleet.PushObjectRequest.FromString(call.request)
            trimmed.left_out_bytes = len(pushed.object_content)
            pushed.object_content = b""
            trimmed.request = pushed.SerializeToString()
        case "GetFab":
            got = fleet.GetFabResponse.FromString(call.answer)
            trimmed.left_out_bytes = len(got.fab.content)
            got.fab.content = b""
            trimmed.answer = got.SerializeToString()
    return trimmed if trimmed.left_out_bytes > KEPT_BYTES else call
