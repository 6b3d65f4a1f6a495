"""Flower's messages as the bridge sees them: ids, object trees, error replies. No I/O.

Sources: flwr 1.41, `flwr/supercore/inflatable/inflatable_object.py` (objects and their ids),
`flwr/app/message/message.py` (a Message as an object), `flwr/common/constant.py` (error codes).
Of the older layouts: flwr 1.18 and 1.19, `flwr/client/grpc_rere_client/connection.py` and
`flwr/server/superlink/fleet/message_handler/message_handler.py`.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage

from protos import fleet_pb2 as fleet
from proxy.blocks import Data, in_memory
from proxy.errors import FleetError
from proxy.fleet.inline import without_content
from proxy.fleet.releases import Layout
from proxy.fleet.wire import check_announcement

AnyMessage = TypeVar("AnyMessage", bound=ProtobufMessage)

SUPERLINK_NODE_ID = 1
# A reply may outlive its instruction by this many seconds before the SuperLink refuses it.
# flwr 1.41: MESSAGE_TTL_TOLERANCE in flwr/common/constant.py.
TTL_TOLERANCE = 0.1
# A ServerApp and its log get no longer reason than this from the bridge.
_MAX_REASON_CHARACTERS = 10_000


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
    data : Data
        The SuperLink's whole answer to PullMessages.
    metadata : Metadata
        The message's metadata.
    object_ids : tuple[str, ...]
        Ids of all objects that belong to it, each once; none if it came whole.
    layout : Layout
        How what it says travels, and so how the reply must.
    """

    data: Data
    metadata: fleet.Metadata
    object_ids: tuple[str, ...]
    layout: Layout

    @classmethod
    def decode(cls, encoded: Data, whole: bool = False) -> Self | None:
        """Read an answer to PullMessages; None if it holds no message.

        Parameters
        ----------
        encoded : Data
            The answer.
        whole : bool
            Whether the message is known to have in it what it says.

        Raises
        ------
        FleetError
            If it is not such an answer.
        """
        head = _head_of(fleet.PullMessagesResponse, encoded)
        response = parse_announcement(fleet.PullMessagesResponse, head)
        if not response.messages_list:
            return None
        # One message at most; SuperNodes, too, use only the first.
        metadata = response.messages_list[0].metadata
        if not response.message_object_trees:
            # Only a message that is no object has nothing below it. From a SuperLink its id is then
            # not a hash.
            if not (whole or _is_uuid(metadata.message_id)):
                raise FleetError("The SuperLink sent a message without its object tree.")
            return cls(encoded, metadata, (), Layout.INLINE)
        tree = response.message_object_trees[0]
        # Read as a tree, an entry of a map names the message below itself, which no tree can.
        if any(child.object_id == tree.object_id for child in tree.children):
            ids = parse(fleet.MapPullMessagesResponse, head).objects_to_pull[tree.object_id]
            return cls(encoded, metadata, tuple(dict.fromkeys(ids.object_ids)), Layout.MAP)
        return cls(encoded, metadata, tuple(tree_ids(tree)), Layout.TREE)

    @property
    def encoded(self) -> bytes:
        """All of `data`, in memory."""
        return in_memory(self.data)

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
    data : Data
        The SuperNode's whole PushMessages request.
    node_id : int
        The node that pushed it, as the request says.
    metadata : Metadata
        The reply's metadata.
    error : Error | None
        What the reply reports instead of content.
    clientapp_runtime : float
        Seconds that the ClientApp took, as the SuperNode measured them.
    tree : ObjectTree | None
        Its objects; None if it came whole.
    object_ids : tuple[str, ...]
        Ids of all objects of its tree, children before parents, each once; none if it came whole.
    """

    data: Data
    node_id: int
    metadata: fleet.Metadata
    error: fleet.Error | None
    clientapp_runtime: float
    tree: fleet.ObjectTree | None
    object_ids: tuple[str, ...]

    @classmethod
    def decode(cls, encoded: Data) -> Self:
        """Read a PushMessages request.

        Raises
        ------
        FleetError
            If it is not one, or does not hold one message, with its tree if it has an id.
        """
        head = _head_of(fleet.PushMessagesRequest, encoded)
        request = parse_announcement(fleet.PushMessagesRequest, head)
        trees, replies = request.message_object_trees, request.messages_list
        # A reply that came whole gets its id from the SuperLink.
        if len(replies) != 1 or len(trees) != (1 if replies[0].metadata.message_id else 0):
            raise FleetError(
                "A SuperNode pushed none or several replies, or one without its object tree."
            )
        message = replies[0]
        return cls(
            encoded,
            request.node.node_id,
            message.metadata,
            message.error if message.HasField("error") else None,
            sum(request.clientapp_runtime_list),
            trees[0] if trees else None,
            tuple(tree_ids(trees[0])) if trees else (),
        )

    @property
    def encoded(self) -> bytes:
        """All of `data`, in memory."""
        return in_memory(self.data)


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
        raise FleetError(f"The other end sent an invalid {kind.__name__}: {error}.") from error


def parse_announcement(kind: type[AnyMessage], encoded: bytes) -> AnyMessage:
    """Decode a pull or push, unless it is made to take memory.

    Raises
    ------
    FleetError
        If `encoded` is not such a message.
    """
    try:
        check_announcement(encoded)
    except DecodeError as error:
        raise FleetError(f"The other end sent an invalid {kind.__name__}: {error}") from error
    return parse(kind, encoded)


def _head_of(kind: type[AnyMessage], encoded: Data) -> bytes:
    """Return an encoded pull or push without its messages' contents; raises as `parse`."""
    try:
        return without_content(encoded)
    except FleetError as error:
        raise FleetError(
            f"The other end sent an invalid {kind.__name__}: {error.message}"
        ) from error


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


@dataclass(frozen=True)
class PushAnswer:
    """A SuperLink's answer to PushMessages.

    Attributes
    ----------
    wanted : frozenset[str]
        The ids of the objects that it wants pushed.
    session_id : str
        The session for that (from 1.33 on).
    refused : bool
        Whether it says that it did not store the reply (until 1.32); a SuperLink with a database
        says so of a repeated reply, too.
    """

    wanted: frozenset[str] = frozenset()
    session_id: str = ""
    refused: bool = False


def read_push_answer(answer: bytes, reply: Reply, layout: Layout) -> PushAnswer:
    """Read an answer to PushMessages.

    A SuperLink names the stored replies by the keys of `results`: until 1.32 "None" stands for one
    that it refused. From 1.33 on it names the reply anyway, but wants none of its objects. (flwr
    1.18, 1.22 and 1.32, `server/superlink/fleet/message_handler/message_handler.py`; flwr 1.41,
    `superlink/servicer/fleet/fleet_handlers.py`.)

    Parameters
    ----------
    answer : bytes
        What the SuperLink answered.
    reply : Reply
        What it answered to.
    layout : Layout
        That of the message that the reply is for.

    Raises
    ------
    FleetError
        If it is not such an answer.
    """
    if layout == Layout.MAP:
        mapped = parse(fleet.MapPushMessagesResponse, answer)
        wanted = mapped.objects_to_push[reply.metadata.message_id].object_ids
        return PushAnswer(frozenset(wanted), "", "None" in mapped.results)
    response = parse(fleet.PushMessagesResponse, answer)
    return PushAnswer(
        frozenset(response.objects_to_push), response.session_id, "None" in response.results
    )


def answer_to_push(reply: Reply, wanted: Iterable[str], session_id: str, layout: Layout) -> bytes:
    """Make an answer that `read_push_answer` reads."""
    if layout == Layout.MAP:
        ids = fleet.ObjectIds(object_ids=wanted)
        by_message = {reply.metadata.message_id: ids}
        return fleet.MapPushMessagesResponse(objects_to_push=by_message).SerializeToString()
    return fleet.PushMessagesResponse(
        objects_to_push=wanted, session_id=session_id
    ).SerializeToString()


def error_reply(
    instruction: Instruction, code: int, reason: str, now: float
) -> tuple[Reply, Mapping[str, bytes]]:
    """Make the error reply to a message that no ClientApp will answer.

    Parameters
    ----------
    instruction : Instruction
        The message that is answered.
    code : int
        One of Flower's error codes.
    reason : str
        What happened, for the ServerApp to read; what UTF-8 has no form for is replaced, and what
        is too long is cut off.
    now : float
        Seconds since the epoch; the reply's time of creation.

    Returns
    -------
    tuple[Reply, Mapping[str, bytes]]
        The reply, and the contents of its objects by id: the message itself, or nothing.
    """
    incoming, expires_at = instruction.metadata, instruction.expires_at
    message = fleet.Message(
        metadata=fleet.Metadata(
            run_id=incoming.run_id,
            src_node_id=incoming.dst_node_id,
            dst_node_id=SUPERLINK_NODE_ID,
            reply_to_message_id=incoming.message_id,
            group_id=incoming.group_id,
            message_type=incoming.message_type,
            dst_task_id=incoming.src_task_id,
            created_at=now,
            ttl=max(expires_at - now, TTL_TOLERANCE / 2),
        ),
        error=fleet.Error(code=code, reason=_encodable(reason)),
    )
    request = fleet.PushMessagesRequest(
        node=fleet.Node(node_id=incoming.dst_node_id), clientapp_runtime_list=[0.0]
    )
    contents = {}
    if instruction.layout != Layout.INLINE:
        body = message.SerializeToString(deterministic=True)
        content = b"Message  %d\0%s" % (len(body), body)
        message.metadata.message_id = object_id(content)
        contents[message.metadata.message_id] = content
        request.message_object_trees.add(object_id=message.metadata.message_id)
    request.messages_list.append(message)
    return Reply.decode(request.SerializeToString()), contents


def _encodable(reason: str) -> str:
    return reason[:_MAX_REASON_CHARACTERS].encode("utf-8", "replace").decode()


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
