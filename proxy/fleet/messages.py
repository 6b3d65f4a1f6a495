"""Flower's messages as the bridge sees them: ids, object trees, error replies. No I/O.

Sources: flwr 1.41, `flwr/supercore/inflatable/inflatable_object.py` (objects and their ids),
`flwr/app/message/message.py` (a Message as an object), `flwr/common/constant.py` (error codes).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError

AnyMessage = TypeVar("AnyMessage", bound=ProtobufMessage)

SUPERLINK_NODE_ID = 1
# A reply may outlive its instruction by this many seconds before the SuperLink refuses it.
# flwr 1.41: MESSAGE_TTL_TOLERANCE in flwr/common/constant.py.
TTL_TOLERANCE = 0.1


class ErrorCode(IntEnum):
    """Flower's codes for an error reply (`ErrorCode`, flwr/common/constant.py)."""

    UNKNOWN = 0
    MESSAGE_UNAVAILABLE = 3
    REPLY_MESSAGE_UNAVAILABLE = 4
    NODE_UNAVAILABLE = 5
    CLIENT_APP_CRASHED = 8


@dataclass(frozen=True)
class Instruction:
    """A message for a ClientApp, as the SuperLink handed it out.

    Attributes
    ----------
    encoded : bytes
        The SuperLink's whole answer to PullMessages.
    metadata : Metadata
        The message's metadata.
    object_ids : tuple[str, ...]
        Ids of all objects of its tree, children before parents, each once.
    """

    encoded: bytes
    metadata: fleet.Metadata
    object_ids: tuple[str, ...]

    @classmethod
    def decode(cls, encoded: bytes) -> Self | None:
        """Read an answer to PullMessages; None if it holds no message.

        Raises
        ------
        FleetError
            If it is not such an answer.
        """
        response = parse(fleet.PullMessagesResponse, encoded)
        if not response.messages_list:
            return None
        # One message at most; SuperNodes, too, use only the first.
        if not response.message_object_trees:
            raise FleetError("The SuperLink handed out a message without its object tree.")
        metadata = response.messages_list[0].metadata
        return cls(encoded, metadata, tuple(tree_ids(response.message_object_trees[0])))

    @property
    def message_id(self) -> str:
        """The id of the message."""
        return self.metadata.message_id

    @property
    def expires_at(self) -> float:
        """When the message's time to live ends, in seconds since the epoch."""
        return self.metadata.created_at + self.metadata.ttl


@dataclass(frozen=True)
class Reply:
    """A ClientApp's reply, as the SuperNode pushed it.

    Attributes
    ----------
    encoded : bytes
        The SuperNode's whole PushMessages request.
    metadata : Metadata
        The reply's metadata.
    error : Error | None
        What the reply reports instead of content.
    clientapp_runtime : float
        Seconds that the ClientApp took, as the SuperNode measured them.
    object_ids : tuple[str, ...]
        Ids of all objects of its tree, children before parents, each once.
    """

    encoded: bytes
    metadata: fleet.Metadata
    error: fleet.Error | None
    clientapp_runtime: float
    object_ids: tuple[str, ...]

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Read a PushMessages request.

        Raises
        ------
        FleetError
            If it is not one, or does not hold one message with its tree.
        """
        request = parse(fleet.PushMessagesRequest, encoded)
        if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
            raise FleetError("A SuperNode pushed not exactly one reply with its object tree.")
        message = request.messages_list[0]
        return cls(
            encoded,
            message.metadata,
            message.error if message.HasField("error") else None,
            sum(request.clientapp_runtime_list),
            tuple(tree_ids(request.message_object_trees[0])),
        )


def parse(kind: type[AnyMessage], encoded: bytes) -> AnyMessage:
    """Decode a Fleet message, or say which one could not be decoded.

    Raises
    ------
    FleetError
        If `encoded` is not such a message.
    """
    try:
        return kind.FromString(encoded)
    except DecodeError as error:
        raise FleetError(f"Not a {kind.__name__} of the Fleet API: {error}.") from error


def tree_ids(tree: fleet.ObjectTree) -> Iterator[str]:
    """Yield the ids in an object tree, children before parents, each once."""
    seen: set[str] = set()
    stack = [(tree, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            if node.object_id not in seen:
                seen.add(node.object_id)
                yield node.object_id
        else:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node.children))


def object_id(content: bytes) -> str:
    """Return the id of an object: the SHA-256 of its content."""
    return hashlib.sha256(content).hexdigest()


def error_reply(
    instruction: fleet.Metadata, code: int, reason: str, now: float
) -> tuple[Reply, bytes]:
    """Make the error reply to a message that no ClientApp will answer.

    Parameters
    ----------
    instruction : Metadata
        The metadata of the message that is answered.
    code : int
        One of Flower's error codes.
    reason : str
        What happened, for the ServerApp to read.
    now : float
        Seconds since the epoch; the reply's time of creation.

    Returns
    -------
    tuple[Reply, bytes]
        The reply, and its one object's content: the message itself.
    """
    expires_at = instruction.created_at + instruction.ttl
    message = fleet.Message(
        metadata=fleet.Metadata(
            run_id=instruction.run_id,
            src_node_id=instruction.dst_node_id,
            dst_node_id=SUPERLINK_NODE_ID,
            reply_to_message_id=instruction.message_id,
            group_id=instruction.group_id,
            message_type=instruction.message_type,
            created_at=now,
            ttl=max(expires_at - now, TTL_TOLERANCE / 2),
        ),
        error=fleet.Error(code=code, reason=reason),
    )
    body = message.SerializeToString(deterministic=True)
    content = b"Message  %d\0%s" % (len(body), body)
    message.metadata.message_id = object_id(content)
    request = fleet.PushMessagesRequest(
        node=fleet.Node(node_id=instruction.dst_node_id),
        messages_list=[message],
        message_object_trees=[fleet.ObjectTree(object_id=message.metadata.message_id)],
        clientapp_runtime_list=[0.0],
    )
    return Reply.decode(request.SerializeToString()), content
