"""The calls of a tape, ordered by SuperNode and by message."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.fleet.wire import numbers, texts, views
from proxy.tapes.replay.rules import HEARTBEATS, ids_named
from proxy.tapes.tape import Call

_JOINING = ("RegisterNode", "ActivateNode", "CreateNode")
_LEAVING = ("DeactivateNode", "UnregisterNode", "DeleteNode")
# Where a call names its SuperNode, by field numbers, unless in `node.node_id` of the request.
# Source: flwr 1.15 to 1.42, flwr/proto/fleet.proto.
_NODE_IN_ANSWER = {"RegisterNode": (1,), "ActivateNode": (1,), "CreateNode": (1, 1)}
_NODE_IN_REQUEST = {"DeactivateNode": (1,), "UnregisterNode": (1,)}


@dataclass(frozen=True)
class Story:
    """All that one SuperNode said, and what was answered."""

    node_id: int
    joining: Sequence[Call]
    heartbeats: Sequence[Call]
    messages: Sequence[Sequence[Call]]
    skipped: int
    leaving: Sequence[Call]


def stories_on(calls: Iterable[Call]) -> Iterator[Story]:
    """Yield what each SuperNode said, in the order of their first calls."""
    by_node: dict[int, list[Call]] = {}
    for call in calls:
        by_node.setdefault(_node_id(call), []).append(call)
    for node_id, node_calls in by_node.items():
        messages: list[list[Call]] = []
        for call in node_calls:
            if call.method == "PullMessages":
                if any(True for _ in views(call.answer or b"", 2)):
                    messages.append([call])
            elif messages and call.method not in (*_JOINING, *HEARTBEATS, *_LEAVING):
                messages[-1].append(call)
        complete = [message for message in messages if _is_complete(message)]
        yield Story(
            node_id,
            [call for call in node_calls if call.method in _JOINING],
            [call for call in node_calls if call.method in HEARTBEATS],
            complete,
            len(messages) - len(complete),
            [call for call in node_calls if call.method in _LEAVING],
        )


def _node_id(call: Call) -> int:
    if call.method in _NODE_IN_ANSWER:
        node_ids = numbers(call.answer or b"", *_NODE_IN_ANSWER[call.method])
    else:
        node_ids = numbers(call.request, *_NODE_IN_REQUEST.get(call.method, (1, 1)))
    return node_ids[0] if node_ids else 0


def _is_complete(message: Sequence[Call]) -> bool:
    """Whether a message's reply was announced, and all objects pushed that were asked for."""
    announced = [call for call in message if call.method == "PushMessages"]
    pushed = {
        id_ for call in message if call.method == "PushObject" for id_ in texts(call.request, 3)
    }
    return bool(announced) and pushed.issuperset(ids_named(announced[-1].answer or b""))
