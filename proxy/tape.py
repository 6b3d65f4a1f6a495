"""A tape: every Fleet call between a SuperLink and its SuperNodes, and what came of it, in a file.

The file is an xz stream of records, each a length (u32, big-endian) and a protobuf: first `MAGIC`,
then a `Header`, then `Call`s in the order of their answers (`protos/tape.proto`). Requests and
answers are kept as they went over the wire, with two exceptions:

- What signs a call (public key, timestamp, signature) goes beside it, in headers: no header is
  recorded. So a tape holds no secret but what the app itself sends; the public key in the request
  of RegisterNode and ActivateNode is none.
- The content of an object or FAB of more than `KEPT_BYTES` is left out. Its id stays, which is its
  SHA-256. Content that travels inside its message, until 1.18, is kept whatever its size.

A tape is replayed as if nothing were left out, see `proxy.replay.stand_ins`.
"""

import lzma
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct
from typing import Literal

from google.protobuf.message import DecodeError, Message

from protos import fleet_pb2 as fleet
from protos import tape_pb2
from proxy import __version__
from proxy.errors import TapeError

MAGIC = b"flower-v6 tape 1\n"
# Far more than an app's code and a small model's arrays take: tapes for tests hold everything.
KEPT_BYTES = 64 << 10
# A record is a call with at most one object, and protobuf ends at 2 GiB.
_MAX_RECORD_BYTES = 2 << 30

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
        with lzma.open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise TapeError(f"{path} is not a tape of this format.")
            records = list(_records(file.read))
        header = tape_pb2.Header.FromString(records[0])
        calls = [tape_pb2.Call.FromString(record) for record in records[1:]]
    except (lzma.LZMAError, EOFError, DecodeError, IndexError) as error:
        raise TapeError(
            f"{path} is not a tape, or is damaged or cut off: {error}.",
            "Stop a recording with Ctrl-C or SIGTERM, or its tape is not complete.",
        ) from error
    except OSError as error:
        raise TapeError(f"Tape {path} cannot be read: {error.strerror}.") from error
    return Tape(
        path.name, header, tuple(_call(number, call) for number, call in enumerate(calls, start=1))
    )


def _records(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while length_field := read(_LENGTH.size):
        (length,) = _LENGTH.unpack(length_field.ljust(_LENGTH.size, b"\0"))
        record = read(min(length, _MAX_RECORD_BYTES))
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
    left = tape_pb2.Call()
    left.CopyFrom(call)
    match call.method:
        case "PullObject":
            pulled = fleet.PullObjectResponse.FromString(call.answer)
            left.left_out_bytes = len(pulled.object_content)
            pulled.object_content = b""
            left.answer = pulled.SerializeToString()
        case "PushObject":
            pushed = fleet.PushObjectRequest.FromString(call.request)
            left.left_out_bytes = len(pushed.object_content)
            pushed.object_content = b""
            left.request = pushed.SerializeToString()
        case "GetFab":
            got = fleet.GetFabResponse.FromString(call.answer)
            left.left_out_bytes = len(got.fab.content)
            got.fab.content = b""
            left.answer = got.SerializeToString()
    return left if left.left_out_bytes > KEPT_BYTES else call
