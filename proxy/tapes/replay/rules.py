"""What is expected of the bridge in a replay, what may differ, and how a difference is told.

The tables here are those of which the rules in `proxy.tapes.replay` speak.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.descriptor import Descriptor

from protos import fleet_pb2 as fleet
from proxy.errors import BridgeError
from proxy.fleet.wire import FieldDifference, differences, texts, views
from proxy.tapes.tape import Call

HEARTBEATS = ("SendNodeHeartbeat", "Ping")
# Methods of which the bridge may make any number of calls, or none, at any time.
FREE_CALLS = frozenset({*HEARTBEATS, "GetRun", "GetFab"})
# Fields that may differ: in what, of which method, by number; and why.
FREE_FIELDS = {
    ("request", "RegisterNode", "1"): "public_key: each node's own",
    ("request", "ActivateNode", "1"): "public_key: each node's own",
    ("answer", "PushMessages", "1"): "reconnect: no SuperNode reads it",
    ("answer", "PushMessages", "2"): "results: no SuperNode reads it",
    ("answer", "PushMessages", "3"): "objects_to_push: compared as a set, by `supernode`",
    ("answer", "PushMessages", "4"): "session_id: whoever answers chooses it",
    ("error reply", "PushMessages", "4"): "clientapp_runtime_list: no ClientApp ran",
}
# What the bridge tries first, and what a SuperLink that does not know it has instead.
COUNTERPARTS = {"RegisterNode": "CreateNode", "SendNodeHeartbeat": "Ping"}

_SHOWN_FIELDS = 6
_ID = re.compile(rb"[0-9a-f]{64}")


class Difference(BridgeError):
    """The bridge did otherwise than the other end on a tape did."""

    code = "difference"


@dataclass(eq=False)
class Expected:
    """A call that is to be made; a repeated one counts once, and has the last answer."""

    call: Call
    made: int = field(default=0)


def scene(calls: Iterable[Call]) -> list[Expected]:
    """Return the expected calls, each once, in the order in which they were made first."""
    by_request: dict[tuple[str, bytes], Expected] = {}
    for call in calls:
        by_request.setdefault((call.method, call.request), Expected(call)).call = call
    return list(by_request.values())


def told(call: Call) -> str:
    """Return which call it is, for people."""
    objects = {"PullObject": "object", "PushObject": "object", "ConfirmMessageReceived": "message"}
    about = ""
    if call.method in objects:
        about = f" of {objects[call.method]} {object_named(call)[:16]}…"
    return f"call {call.number} ({call.method}{about})"


def object_named(call: Call) -> str:
    """Return the object or message that a call is about."""
    return texts(call.request, 3)[0]


def ids_named(encoded: bytes) -> list[str]:
    """Return the ids in field 3, which is objects to push or object trees, each once."""
    ids = (match for value in views(encoded, 3) for match in _ID.findall(value))
    return list(dict.fromkeys(id_.decode() for id_ in ids))


def unlike(said_in: str, call: Call, actual: bytes) -> list[FieldDifference]:
    """Return the fields in which a request or an answer differs and may not."""
    expected = call.answer or b"" if said_in == "answer" else call.request
    if expected == actual:
        return []
    free = [
        path
        for direction, method, path in FREE_FIELDS
        if (direction, method) == (said_in, call.method)
    ]
    return [
        difference
        for difference in differences(expected, actual, _described(said_in, call.method))
        if not any(f"{difference.numbers}.".startswith(f"{path}.") for path in free)
    ]


def _described(said_in: str, method: str) -> Descriptor | None:
    """Return what our `protos/` say of a message."""
    kind = "SendNodeHeartbeat" if method == "Ping" else method
    suffix = "Response" if said_in == "answer" else "Request"
    descriptors: Mapping[str, Descriptor] = fleet.DESCRIPTOR.message_types_by_name
    return descriptors.get(f"{kind}{suffix}")


def listed(differing: Sequence[FieldDifference]) -> str:
    """Return the fields in which a message differs, for people: one a line."""
    # An error's reason tells more than the ids that follow from it.
    ordered = sorted(differing, key=lambda difference: "error" not in difference.name)
    lines = [f"\n    {difference}" for difference in ordered[:_SHOWN_FIELDS]]
    if len(differing) > _SHOWN_FIELDS:
        lines.append(f"\n    and {len(differing) - _SHOWN_FIELDS} more")
    return "".join(lines)
