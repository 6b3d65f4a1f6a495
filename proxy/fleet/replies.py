"""What a SuperLink checks of a reply before it stores it, and a ServerApp relies on. No I/O.

A SuperLink refuses a reply in silence: the SuperNode hears nothing of it, and the ServerApp waits
until its message expires. A reply's id is a hash over its metadata, so nothing in it can be put
right on the way; who finds a fault has to answer with an error reply.

Sources: flwr 1.41, `server/utils/validator.py`, `store_message_res` in
`server/superlink/linkstate/`, `superlink/routers/fleet/node_auth.py` (the node),
`supercore/object_store/` and `validate_object_content` in
`supercore/inflatable/inflatable_utils.py` (objects), `superlink/grid/http_grid.py` (what a
ServerApp makes of the objects). flwr 1.15 to 1.32 check less, and nothing else, but that until 1.18
a reply must have no id.
"""

import math
import re
from collections.abc import Callable, Iterator

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError, ReplyRefused
from proxy.fleet.messages import TTL_TOLERANCE, Instruction, Reply, parse
from proxy.fleet.releases import Layout

# 28 February 2025: nothing was created before.
_EARLIEST_CREATION = 1740700800.0
_ID = re.compile(r"[0-9a-f]{64}")
# What bundles take on their way is no sign of a wrong clock.
_CLOCK_TOLERANCE_SECONDS = 5.0
# The fields that a reply's own object repeats; a ServerApp reads them there.
_REPEATED = (
    *("run_id", "src_node_id", "dst_node_id", "reply_to_message_id"),
    *("group_id", "message_type", "created_at", "ttl"),
)

ReadHead = Callable[[str], tuple[bytes, int]]
Read = Callable[[str], bytes]


def check_reply(
    reply: Reply, instruction: Instruction, heads: ReadHead, read: Read, pulled: float, now: float
) -> None:
    """Check a station's reply.

    Parameters
    ----------
    reply : Reply
        The reply.
    instruction : Instruction
        The message that it answers.
    heads : Callable[[str], tuple[bytes, int]]
        Returns what stands before the first NUL of an object, and the object's size.
    read : Callable[[str], bytes]
        Returns an object.
    pulled, now : float
        When the message was pulled, and what time it is, in seconds since the epoch.

    Raises
    ------
    ReplyRefused
        If a SuperLink would refuse it, or a ServerApp could not use it. It names the field.
    """
    about_reply, about_message = reply.metadata, instruction.metadata
    for name, value, expected in (
        ("message", about_reply.reply_to_message_id, about_message.message_id),
        ("run", about_reply.run_id, about_message.run_id),
        ("node", about_reply.src_node_id, about_message.dst_node_id),
        ("node (of the call)", reply.node_id, about_message.dst_node_id),
        ("destination node", about_reply.dst_node_id, about_message.src_node_id),
    ):
        if value != expected:
            raise ReplyRefused(f"The station's reply names {name} {value} instead of {expected}.")
    if about_message.message_type and not about_reply.message_type:
        raise ReplyRefused("The station's reply has no message type.")
    if not 0 <= reply.clientapp_runtime < math.inf:
        raise ReplyRefused(
            f"The station's reply has a ClientApp runtime of {reply.clientapp_runtime} s."
        )
    _check_times(about_reply, instruction, pulled, now)
    if (reply.tree is None) != (instruction.layout == Layout.INLINE):
        raise ReplyRefused("The station's reply is not laid out as the message that it answers.")
    if reply.tree is not None:
        _check_objects(reply, reply.tree, heads, read)


def _check_times(
    about_reply: fleet.Metadata, instruction: Instruction, pulled: float, now: float
) -> None:
    fault = ""
    # Put so that NaN is a fault.
    if not _EARLIEST_CREATION <= about_reply.created_at < math.inf:
        fault = f"was created at {about_reply.created_at:.0f} s since 1970"
    elif not about_reply.ttl > 0:
        fault = f"has a time to live of {about_reply.ttl:.1f} s"
    elif not about_reply.created_at + about_reply.ttl <= instruction.expires_at + TTL_TOLERANCE:
        late = about_reply.created_at + about_reply.ttl - instruction.expires_at
        fault = f"expires (created_at + ttl) {late:.1f} s after its message"
    elif not now < about_reply.created_at + about_reply.ttl:
        late = now - about_reply.created_at - about_reply.ttl
        fault = f"expired (created_at + ttl) {late:.1f} s ago"
    if fault:
        raise ReplyRefused(
            f"The station's reply {fault}.{_wrong_clock(about_reply.created_at, pulled, now)}"
        )


def _wrong_clock(created_at: float, pulled: float, now: float) -> str:
    """Say that the station's clock is wrong, if the reply is from the future or from too early."""
    if created_at > now + _CLOCK_TOLERANCE_SECONDS:
        return f" The station's clock is wrong: at least {created_at - now:.0f} s ahead."
    if created_at < pulled - _CLOCK_TOLERANCE_SECONDS:
        return f" The station's clock is wrong: at least {pulled - created_at:.0f} s behind."
    return ""


def _check_objects(reply: Reply, tree: fleet.ObjectTree, heads: ReadHead, read: Read) -> None:
    """Check the reply's ids, and its objects against its tree."""
    if reply.metadata.message_id != tree.object_id:
        raise ReplyRefused(
            f"The station's reply has the id {reply.metadata.message_id}, but the objects of"
            f" {tree.object_id}."
        )
    checked: dict[str, list[str]] = {}
    for node in _nodes(tree):
        children = [child.object_id for child in node.children]
        if node.object_id not in checked:
            _check_head(node.object_id, children, *heads(node.object_id))
            checked[node.object_id] = children
        if checked[node.object_id] != children:
            raise ReplyRefused(f"Object {node.object_id} of the station's reply has two trees.")
    head, _, body = read(tree.object_id).partition(b"\0")
    if not head.startswith(b"Message "):
        raise ReplyRefused("The station's reply is no Message object.")
    try:
        inner = parse(fleet.Message, body)
    except FleetError as error:
        raise ReplyRefused(f"The station's reply: {error.message}") from error
    for name in _REPEATED:
        if getattr(inner.metadata, name) != getattr(reply.metadata, name):
            raise ReplyRefused(f"The station's reply has two values of {name}.")
    if inner.HasField("error") != (reply.error is not None) or (
        reply.error is not None and inner.error != reply.error
    ):
        raise ReplyRefused("The station's reply has two values of error.")


def _nodes(tree: fleet.ObjectTree) -> Iterator[fleet.ObjectTree]:
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        nodes.extend(node.children)


def _check_head(own_id: str, children: list[str], head: bytes, size: int) -> None:
    """Check an object's head, `<type> <children> <length of the body>`, against the tree."""
    # Flower's own spelling of the number; int() would take more.
    parts = re.fullmatch(rb"[A-Za-z]+ ([0-9a-f,]*) (\d{1,19})", head)
    if parts is None or int(parts[2]) != size - len(head) - 1:
        raise ReplyRefused(f"Object {own_id} of the station's reply is no Flower object.")
    named = parts[1].decode().split(",") if parts[1] else []
    if named != children or len(set(named)) != len(named) or not all(map(_ID.fullmatch, named)):
        raise ReplyRefused(f"Object {own_id} of the station's reply is not what its tree says.")
