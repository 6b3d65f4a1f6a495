"""Tapes: a whole file, or the records of one; what can be read is replayed."""

import lzma
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from tempfile import mkdtemp

from integration_tests.fuzz.harness import joined
from integration_tests.fuzz.samples import (
    FAB,
    FAB_HASH,
    MESSAGE,
    OBJECTS,
    PULLED,
    PUSHED,
    REPLY_OBJECTS,
    RUN,
)
from protos import fleet_pb2 as fleet
from protos.tape_pb2 import Call, Header
from proxy.errors import TapeError
from proxy.tapes.replay import replay
from proxy.tapes.replay.rules import Difference
from proxy.tapes.tape import MAGIC, read_tape

ERRORS = (TapeError, Difference)
_PATH = Path(mkdtemp(prefix="fuzz-")) / "a.tape"
_TAPES = Path(__file__).parents[2] / "tapes"


def parse(data: bytes) -> None:
    """Read a tape, and replay it."""
    _PATH.write_bytes(data if data.startswith(b"\xfd7zXZ") else _made(data))
    replay(read_tape(_PATH))


def _made(data: bytes) -> bytes:
    """Make a tape of records, each with its length before it, in two bytes."""
    text = MAGIC
    while data:
        length = int.from_bytes(data[:2], "big")
        text += pack(">I", len(data[2 : 2 + length])) + data[2 : 2 + length]
        data = data[2 + length :]
    return lzma.compress(text, preset=0)


def seeds() -> Iterator[bytes]:
    """Make the records of one message's calls."""
    node = fleet.Node(node_id=5)
    asked_fab = fleet.GetFabRequest(node=node, run_id=7, hash_str=FAB_HASH)
    calls = [
        Call(method="PullMessages", request=b"\x0a\x02\x08\x05", answer=PULLED),
        Call(method="GetRun", request=b"\x0a\x02\x08\x05\x10\x07", answer=RUN),
        Call(method="GetFab", request=asked_fab.SerializeToString(), answer=FAB),
    ]
    for each, content in OBJECTS.contents.items():
        asked = fleet.PullObjectRequest(node=node, run_id=7, object_id=each)
        answer = fleet.PullObjectResponse(
            object_found=True, object_available=True, object_content=content
        )
        calls.append(
            Call(
                method="PullObject",
                request=asked.SerializeToString(),
                answer=answer.SerializeToString(),
            )
        )
    confirmed = fleet.ConfirmMessageReceivedRequest(
        node=node, run_id=7, message_object_id=MESSAGE.metadata.message_id
    )
    calls.append(
        Call(method="ConfirmMessageReceived", request=confirmed.SerializeToString(), answer=b"")
    )
    wanted = fleet.PushMessagesResponse(objects_to_push=list(REPLY_OBJECTS.contents)[:1])
    calls.append(Call(method="PushMessages", request=PUSHED, answer=wanted.SerializeToString()))
    for each, content in list(REPLY_OBJECTS.contents.items())[:1]:
        pushed = fleet.PushObjectRequest(
            node=node, run_id=7, object_id=each, object_content=content
        )
        calls.append(
            Call(method="PushObject", request=pushed.SerializeToString(), answer=b"\x08\x01")
        )
    records = [Header(about="a seed"), *calls]
    yield joined(*(each.SerializeToString() for each in records), b"")
    # Lengths where names belong.
    odd = fleet.PullObjectRequest(node=node, run_id=7).SerializeToString() + b"\x18" + b"\xff" * 8
    odd_call = Call(method="PullObject", request=odd + b"\x7f", answer=b"", left_out_bytes=9)
    yield joined(*(each.SerializeToString() for each in [*records, odd_call]), b"")
    for name in ("1.18.0", "1.19.0", "1.41.0"):
        tape = read_tape(_TAPES / f"{name}.tape")
        calls = [
            Call(method=each.method, request=each.request, answer=each.answer, at=each.at)
            for each in tape.calls[:60]
        ]
        yield joined(*(each.SerializeToString() for each in [tape.header, *calls]), b"")


def bombs() -> Iterator[bytes]:
    """What expands, records of nothing, the same poll again and again."""
    yield lzma.compress(MAGIC + pack(">I", 1 << 30) + bytes(200 << 20), preset=0)
    yield lzma.compress(MAGIC + bytes(8 << 20), preset=0)
    poll = Call(method="PullMessages", request=b"\x0a\x02\x08\x05", answer=b"")
    encoded = poll.SerializeToString()
    yield lzma.compress(MAGIC + bytes(4) + (pack(">I", len(encoded)) + encoded) * 50_000, preset=0)
