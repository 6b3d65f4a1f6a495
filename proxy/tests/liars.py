"""Stations that lie: replies that are well-formed, and not what a SuperNode would push."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.carriers import Exchange
from proxy.fleet.messages import Instruction, object_id
from proxy.fleet.releases import Layout
from proxy.tests.helpers import pulled_in, write_bundle
from proxy.transport.testing import Content, make_message, make_object, make_whole_message

Change = Callable[[fleet.PushMessagesRequest, dict[str, bytes]], None]


@dataclass(frozen=True)
class Lie:
    """What is wrong with a reply.

    Attributes
    ----------
    metadata : Mapping[str, Any]
        Fields of the metadata that are otherwise, in a reply that agrees with itself. Those that
        end in `_plus` say what is added instead.
    change : Callable[[PushMessagesRequest, dict[str, bytes]], None]
        Changes what is pushed, and the objects; it does not agree with itself any more.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    change: Change = lambda _, __: None

    def reply(
        self, instruction: Instruction, content: Content, now: float
    ) -> tuple[bytes, dict[str, bytes]]:
        """Return what is pushed, and the objects by id."""
        asked = instruction.metadata
        metadata = fleet.Metadata(
            run_id=asked.run_id,
            src_node_id=asked.dst_node_id,
            dst_node_id=asked.src_node_id,
            reply_to_message_id=asked.message_id,
            group_id=asked.group_id,
            message_type=asked.message_type,
            created_at=now,
            ttl=instruction.expires_at - now,
        )
        for name, value in self.metadata.items():
            changed = name.removesuffix("_plus")
            added_to = getattr(metadata, changed) if name.endswith("_plus") else 0
            setattr(metadata, changed, added_to + value if added_to else value)
        request = fleet.PushMessagesRequest(
            node=fleet.Node(node_id=asked.dst_node_id), clientapp_runtime_list=[0.25]
        )
        contents: dict[str, bytes] = {}
        if instruction.layout == Layout.INLINE:
            request.messages_list.append(make_whole_message(metadata, content))
        else:
            message, objects = make_message(metadata, content)
            request.messages_list.append(message)
            request.message_object_trees.append(objects.tree)
            contents.update(objects.contents)
        self.change(request, contents)
        return request.SerializeToString(), contents


def _another_node(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.node.node_id ^= 1


def _another_id(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.messages_list[0].metadata.message_id = 64 * "a"


def _no_id(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.messages_list[0].metadata.message_id = ""


def _another_metadata(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.messages_list[0].metadata.ttl -= 1


def _an_error_besides(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.messages_list[0].error.code = 1


def _two_replies(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.messages_list.append(request.messages_list[0])


def _no_reply(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    del request.messages_list[:]


def _endless_runtime(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    request.clientapp_runtime_list[0] = math.nan


def _lost_child(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    del request.message_object_trees[0].children[:]


def _doubled_child(request: fleet.PushMessagesRequest, _: dict[str, bytes]) -> None:
    tree = request.message_object_trees[0]
    tree.children.append(tree.children[0] if tree.children else tree)


def _a_chunk_for_a_message(request: fleet.PushMessagesRequest, contents: dict[str, bytes]) -> None:
    _replace_with(request, contents, make_object("ArrayChunk", b"data").contents)


def _no_object(request: fleet.PushMessagesRequest, contents: dict[str, bytes]) -> None:
    _replace_with(request, contents, {object_id(b"no object"): b"no object"})


def _lying_length(request: fleet.PushMessagesRequest, contents: dict[str, bytes]) -> None:
    content = b"Message  999\0short"
    _replace_with(request, contents, {object_id(content): content})


def _replace_with(
    request: fleet.PushMessagesRequest, contents: dict[str, bytes], by: Mapping[str, bytes]
) -> None:
    """Put another object in the place of the reply's own."""
    (own_id,) = by
    contents.update(by)
    request.messages_list[0].metadata.message_id = own_id
    del request.message_object_trees[:]
    request.message_object_trees.add(object_id=own_id)


# Each alone costs a reply at a SuperLink or a ServerApp, or more.
LIES: Mapping[str, Lie] = {
    "another run": Lie({"run_id_plus": 1}),
    "another sender": Lie({"src_node_id": 5}),
    "another receiver": Lie({"dst_node_id": 5}),
    "a reply to another message": Lie({"reply_to_message_id": 64 * "0"}),
    "a reply to none": Lie({"reply_to_message_id": ""}),
    "no message type": Lie({"message_type": ""}),
    "lives longer than its message": Lie({"ttl_plus": 60.0}),
    "lives for ever": Lie({"ttl": math.inf}),
    "lives not at all": Lie({"ttl": 0.0}),
    "lives less than not at all": Lie({"ttl": -60.0}),
    "lives for no number of seconds": Lie({"ttl": math.nan}),
    "expired": Lie({"created_at_plus": -1e5, "ttl": 60.0}),
    "a clock an hour ahead": Lie({"created_at_plus": 3600.0}),
    "a clock in 1970": Lie({"created_at": 5.0, "ttl_plus": 1e9}),
    "created at no time": Lie({"created_at": math.nan}),
    "created at the end of time": Lie({"created_at": math.inf}),
    "pushed by another node": Lie(change=_another_node),
    "another id": Lie(change=_another_id),
    "no id": Lie(change=_no_id),
    "two values of its metadata": Lie(change=_another_metadata),
    "an error besides its content": Lie(change=_an_error_besides),
    "two replies": Lie(change=_two_replies),
    "no reply": Lie(change=_no_reply),
    "no number of seconds": Lie(change=_endless_runtime),
    "objects that its tree lacks": Lie(change=_lost_child),
    "an object twice": Lie(change=_doubled_child),
    "no message": Lie(change=_a_chunk_for_a_message),
    "no object": Lie(change=_no_object),
    "a lying length": Lie(change=_lying_length),
}


class LyingCarrier:
    """A carrier whose stations lie, one each, and are named for it.

    Parameters
    ----------
    lies : Mapping[str, Lie]
        The lies.
    content : Content
        What all replies say.
    clock : Callable[[], float]
        Tells the time, in seconds since the epoch.
    """

    def __init__(
        self, lies: Mapping[str, Lie], content: Content, clock: Callable[[], float]
    ) -> None:
        self._lies = lies
        self._content = content
        self._clock = clock

    @property
    def stations(self) -> Sequence[str]:
        return list(self._lies)

    def prepare(self, station: str, node_id: int) -> None:
        pass

    def online(self, station: str) -> bool:
        return True

    def exchange(self, station: str, exchange: Exchange) -> None:
        with Bundle(exchange.instruction) as bundle:
            whole = bundle.header.instruction.whole
            instruction = Instruction.decode(pulled_in(bundle), whole)
        assert instruction is not None
        pushed, contents = self._lies[station].reply(instruction, self._content, self._clock())
        write_lie(exchange.reply, exchange.message_id, pushed, contents)

    def close(self) -> None:
        pass


def write_lie(path: Path, message_id: str, pushed: bytes, contents: Mapping[str, bytes]) -> None:
    """Write a reply bundle."""
    header = bundle_pb2.Header(message_id=message_id)
    header.reply.push_messages_object_id = object_id(pushed)
    write_bundle(path, header, {object_id(pushed): pushed, **contents})
