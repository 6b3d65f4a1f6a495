"""What a message says, apart from who says it to whom, and when. No I/O.

Two messages of the same content have different ids, because an id is a hash over times, too. Here
is what two of them have in common, and how the reply to one becomes a reply to the other.
"""

from collections.abc import Callable

from protos import fleet_pb2 as fleet
from proxy.blocks import Data, Joined, in_memory, part_of, sha256_of, size_of
from proxy.errors import FleetError
from proxy.fleet.inline import (
    CONTENT,
    MESSAGES_LIST,
    place_of_content,
    place_of_message,
    start_of_field,
    without_content,
)
from proxy.fleet.messages import (
    TTL_TOLERANCE,
    Instruction,
    Reply,
    object_id,
    parse,
    parse_announcement,
)
from proxy.fleet.releases import Layout

Read = Callable[[str], bytes]


def content_id(instruction: Instruction) -> str:
    """Return what messages that say the same have in common: a hash, in hex.

    Of a message in objects it is made of their ids, which are hashes. The content of one that came
    whole is hashed as it is encoded; Flower encodes the same content alike (in direct mode always,
    a SuperLink until 1.18 as far as its maps have an order).

    Raises
    ------
    FleetError
        If the message cannot be read.
    """
    if instruction.layout == Layout.INLINE:
        return sha256_of(_content(instruction.data))
    ids = (id_ for id_ in instruction.object_ids if id_ != instruction.message_id)
    return sha256_of(",".join(ids).encode())


def readdressed(
    reply: Reply, read: Read, instruction: Instruction, now: float
) -> tuple[Reply, Read]:
    """Make of a reply one that says the same to another message.

    Parameters
    ----------
    reply : Reply
        The reply to a message with the same content.
    read : Callable[[str], bytes]
        Returns an object of it.
    instruction : Instruction
        The message that is answered.
    now : float
        Seconds since the epoch; the reply's time of creation.

    Returns
    -------
    tuple[Reply, Callable[[str], bytes]]
        The reply to that message, and what returns an object of it.

    Raises
    ------
    FleetError
        If the reply cannot be read, or is not laid out as the message.
    """
    if (reply.tree is None) != (instruction.layout == Layout.INLINE):
        raise FleetError("The reply is not laid out as the message that it answers.")
    if reply.tree is None:
        return _readdressed_whole(reply, instruction, now), read
    head, _, body = read(reply.tree.object_id).partition(b"\0")
    message = parse(fleet.Message, body)
    _address(message.metadata, instruction, now)
    body = message.SerializeToString(deterministic=True)
    # `Message <children> <length>` (flwr 1.41, `supercore/inflatable/inflatable_object.py`).
    root = b"%s %d\0%s" % (head.rpartition(b" ")[0], len(body), body)
    new_id = object_id(root)
    request = parse_announcement(fleet.PushMessagesRequest, reply.encoded)
    request.node.node_id = instruction.metadata.dst_node_id
    announced = request.messages_list[0].metadata
    _address(announced, instruction, now)
    announced.message_id = request.message_object_trees[0].object_id = new_id

    def read_new(wanted: str) -> bytes:
        return root if wanted == new_id else read(wanted)

    return Reply.decode(request.SerializeToString()), read_new


def with_content_of(instruction: Instruction, announcement: Data) -> Data:
    """Give an answer to PullMessages, which has lost its content, that of another message.

    Parameters
    ----------
    instruction : Instruction
        The other message; it came whole.
    announcement : Data
        The answer, as `proxy.fleet.inline.without_content` left it.

    Raises
    ------
    FleetError
        If one of them cannot be read.
    """
    response = parse(fleet.PullMessagesResponse, in_memory(announcement))
    return _with_content(response, _content(instruction.data))


def _readdressed_whole(reply: Reply, instruction: Instruction, now: float) -> Reply:
    request = parse(fleet.PushMessagesRequest, without_content(reply.data))
    request.node.node_id = instruction.metadata.dst_node_id
    message = request.messages_list[0]
    _address(message.metadata, instruction, now)
    return Reply.decode(_with_content(request, _content(reply.data)))


def _with_content(
    call: fleet.PullMessagesResponse | fleet.PushMessagesRequest, content: Data
) -> Data:
    """Return an encoded pull or push; its only message has this content, unless it has an error."""
    message = call.messages_list[0]
    whole: Data = message.SerializeToString()
    if not message.HasField("error"):
        whole = Joined(whole, start_of_field(CONTENT, size_of(content)), content)
    del call.messages_list[:]
    head = call.SerializeToString()
    return Joined(head, start_of_field(MESSAGES_LIST, size_of(whole)), whole)


def _address(metadata: fleet.Metadata, instruction: Instruction, now: float) -> None:
    """Make metadata those of a reply to a message."""
    incoming = instruction.metadata
    metadata.run_id = incoming.run_id
    metadata.src_node_id = incoming.dst_node_id
    metadata.dst_node_id = incoming.src_node_id
    metadata.reply_to_message_id = incoming.message_id
    metadata.group_id = incoming.group_id
    metadata.dst_task_id = incoming.src_task_id
    metadata.created_at = now
    metadata.ttl = max(instruction.expires_at - now, TTL_TOLERANCE / 2)


def _content(encoded: Data) -> Data:
    """Return the content of the only message in an encoded pull or push; nothing if it has none."""
    message = place_of_message(encoded)
    place = place_of_content(part_of(encoded, message.start, message.size))
    return b"" if place is None else part_of(encoded, message.start + place.start, place.size)
