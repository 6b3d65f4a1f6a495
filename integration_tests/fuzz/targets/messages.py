"""What is pulled and pushed: messages, their object trees, and error replies to them."""

from collections.abc import Iterator

from integration_tests.fuzz.samples import FAILED, PULLED, PUSHED
from integration_tests.fuzz.targets.wire import nested
from protos import fleet_pb2 as fleet
from proxy.errors import FleetError
from proxy.fleet.messages import (
    ErrorCode,
    Instruction,
    Reply,
    answer_to_push,
    error_reply,
    read_push_answer,
)
from proxy.fleet.releases import Layout

ERRORS = (FleetError,)


def parse(data: bytes) -> None:
    """Read an input as each of the calls' messages."""
    refusals = []
    for read in (_instruction, _whole_instruction, _reply, _answer):
        try:
            read(data)
        except FleetError as error:
            refusals.append(error)
    if len(refusals) == 4:
        raise refusals[0]


def _instruction(data: bytes, whole: bool = False) -> None:
    instruction = Instruction.decode(data, whole)
    if instruction is not None:
        assert len(set(instruction.object_ids)) == len(instruction.object_ids)
        reply, _ = error_reply(instruction, ErrorCode.UNKNOWN, "why", 1.7e9)
        assert reply.metadata.reply_to_message_id == instruction.message_id


def _whole_instruction(data: bytes) -> None:
    _instruction(data, whole=True)


def _reply(data: bytes) -> None:
    reply = Reply.decode(data)
    for layout in Layout:
        answer = answer_to_push(reply, reply.object_ids, "session", layout)
        assert read_push_answer(answer, reply, layout).wanted == set(reply.object_ids)


def _answer(data: bytes) -> None:
    for layout in Layout:
        read_push_answer(data, Reply.decode(PUSHED), layout)


def seeds() -> Iterator[bytes]:
    """Make messages of every kind."""
    yield PULLED
    yield PUSHED
    yield FAILED
    yield answer_to_push(Reply.decode(PUSHED), ["1f"], "session", Layout.TREE)
    mapped = fleet.MapPullMessagesResponse.FromString(PULLED)
    ids = fleet.ObjectIds(object_ids=[mapped.messages_list[0].metadata.message_id])
    mapped = fleet.MapPullMessagesResponse(
        messages_list=mapped.messages_list, objects_to_pull={ids.object_ids[0]: ids}
    )
    yield mapped.SerializeToString()
    odd = fleet.PushMessagesRequest.FromString(PUSHED)
    odd.clientapp_runtime_list[:] = [float("nan"), -1.0]
    yield odd.SerializeToString()


def bombs() -> Iterator[bytes]:
    """Trees and messages of nothing, trees in trees."""
    yield b"\x12\x00" * 500_000
    yield b"\x1a\x00" * 500_000
    yield b"\x1a\xc0\x84\x3d" + b"\x12\x00" * 500_000
    yield PULLED + nested(20_000)
    yield PUSHED + b"\x22\x80\x80\x20" + bytes(1 << 19)
