"""Fields of messages, read by number: what protobuf reads is read, and nothing else."""

from collections.abc import Iterator

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from integration_tests.fuzz.harness import joined, pieces
from integration_tests.fuzz.samples import FAB, PULLED, PUSHED, RUN
from protos import fleet_pb2 as fleet
from proxy.fleet.wire import differences, fields, values

ERRORS = (DecodeError,)
_KINDS = ("PullMessagesResponse", "PushMessagesRequest", "GetRunResponse", "GetFabResponse")


def parse(data: bytes) -> None:
    """Compare what is read with what protobuf reads, and two messages with each other."""
    one, other = pieces(data, 2)
    for kind in _KINDS:
        differences(one, other, fleet.DESCRIPTOR.message_types_by_name[kind])
    message = Empty.FromString(one)
    unknown = UnknownFieldSet(message)
    meant = [(unknown[index].field_number, unknown[index].data) for index in range(len(unknown))]
    read = [
        (number, value if isinstance(value, int) else bytes(value))
        for number, value in fields(memoryview(one))
    ]
    assert read == [each for each in meant if isinstance(each[1], int | bytes)]
    for path in ((1,), (2, 1, 2), (3, 1)):
        values(one, *path)


def seeds() -> Iterator[bytes]:
    """Make pairs of messages."""
    yield joined(PULLED, PUSHED)
    yield joined(RUN, FAB)
    yield joined(b"\xa3\x06\x08\x01\xa4\x06\x12\x00", b"")  # an unknown group


def bombs() -> Iterator[bytes]:
    """Groups in groups, trees in trees, many fields of nothing."""
    yield joined(b"\x0b" * 30_000, b"\x0b" * 30_000)
    yield joined(nested(10_000), nested(10_000))
    yield joined(b"\x12\x00" * 30_000, b"\x1a\x00" * 30_000)


def nested(depth: int) -> bytes:
    """Return a PullMessagesResponse with a tree of some depth."""
    tree = b""
    for _ in range(depth):
        if len(tree) > 50_000:
            break
        tree = b"\x12" + _varint(len(tree)) + tree
    return b"\x1a" + _varint(len(tree)) + tree


def _varint(number: int) -> bytes:
    return fleet.Node(node_id=number).SerializeToString()[1:] or b"\0"
