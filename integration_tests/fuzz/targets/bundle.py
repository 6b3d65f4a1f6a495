"""Bundles: a whole file, or one that is made of an input, so that its digest is right."""

import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from struct import pack
from tempfile import mkdtemp

from integration_tests.fuzz.harness import joined, pieces
from integration_tests.fuzz.samples import FAB, MESSAGE, OBJECTS, PULLED, RUN
from protos.bundle_pb2 import Footer, Header, Instruction
from proxy.blocks import BLOCK_BYTES
from proxy.bundle import FORMAT_VERSION, MAGIC, Bundle, BundleWriter
from proxy.errors import BundleError
from proxy.fleet.messages import object_id
from proxy.instruction import instruction_of

ERRORS = (BundleError,)
_PATH = Path(mkdtemp(prefix="fuzz-")) / "a.bundle"


def parse(data: bytes) -> None:
    """Read a bundle, all that is in it, and the instruction that it may be."""
    _PATH.write_bytes(data if data.startswith(MAGIC[:4]) else _made(*pieces(data, 4)))
    with Bundle(_PATH) as bundle:
        for each in bundle.object_ids:
            assert object_id(bundle.read(each)) == each
        assert all(0 <= value < float("inf") for value in bundle.seconds.values())
        instruction_of(bundle)


def _made(header: bytes, footer: bytes, stored: bytes, content: bytes) -> bytes:
    """Make a bundle of two objects: the last one's content is stored, the first is compressed."""
    head = MAGIC + pack(">HI", FORMAT_VERSION, len(header)) + header
    digest, body = sha256(head), head
    try:
        expanded = zlib.decompressobj().decompress(stored, BLOCK_BYTES)
    except zlib.error:
        expanded = b""
    for block, whole in ((stored, expanded), (content[:BLOCK_BYTES], content[:BLOCK_BYTES])):
        place = b"O" + pack(">32sQ", sha256(whole).digest(), len(whole))
        digest.update(place)
        body += place + (pack(">I", len(block)) + block if whole else b"")
    end = b"E" + pack(">I", len(footer)) + footer
    digest.update(end)
    return body + end + digest.digest()


def seeds() -> Iterator[bytes]:
    """Make bundles."""
    header = Header(
        message_id=MESSAGE.metadata.message_id,
        instruction=Instruction(
            pull_messages_object_id=object_id(PULLED),
            get_run_response=RUN,
            fab_object_id=object_id(FAB),
            node_id=5,
            deadline_seconds=60.0,
        ),
    )
    contents = {**OBJECTS.contents, object_id(PULLED): PULLED, object_id(FAB): FAB}
    with BundleWriter(_PATH, header) as writer:
        for each, content in contents.items():
            writer.add(each, content)
        writer.close({"clientapp": 1.5})
    yield _PATH.read_bytes()
    yield joined(header.SerializeToString(), b"", zlib.compress(bytes(1000)), b"content")
    nonsense = Footer(seconds={"clientapp": float("nan"), "collect": -1.0, "x": 1e308})
    yield joined(b"", nonsense.SerializeToString(), b"", b"")
    many = Footer(seconds={str(number): 1.0 for number in range(3000)})
    yield joined(b"", many.SerializeToString(), b"", b"")


def bombs() -> Iterator[bytes]:
    """A gigabyte of zeros, header fields of nothing, the same object again and again."""
    block = zlib.compress(bytes(BLOCK_BYTES), 9)
    head = MAGIC + pack(">HI", FORMAT_VERSION, 0)
    yield head + b"O" + pack(">32sQ", bytes(32), 1 << 30) + (pack(">I", len(block)) + block) * 1024
    yield MAGIC + pack(">HI", FORMAT_VERSION, 4 << 20) + b"\x5a\x00" * (2 << 20)
    yield head + (b"O" + pack(">32sQ", sha256(b"").digest(), 0)) * 20_000
    yield head + b"O" + pack(">32sQ", bytes(32), (1 << 64) - 1)
