"""Stand-ins for what a tape names but does not hold."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from protos import fleet_pb2 as fleet
from proxy.fleet.messages import object_id
from proxy.fleet.wire import texts, views
from proxy.tapes.tape import Call, Tape

_ID = re.compile(rb"[0-9a-f]{64}")


def filled(tape: Tape) -> tuple[list[Call], dict[str, bytes]]:
    """Return a tape's calls as if nothing had been left out, and all objects that they name.

    Whatever a tape names but does not hold, because it is large or never passed the recorder, gets
    a short stand-in. An id is the SHA-256 of its content, and stands in the content of the objects
    above it, up to the message. So all these ids are made anew, wherever they occur, and a replay
    can check everything. Nothing changes on a tape that holds all that it names.
    """
    held = _contents(tape.calls)
    children = dict(_children(tape))
    stand_ins = {id_: _stand_in(id_, children.get(id_, [])) for id_ in _named(tape) - held.keys()}
    if not stand_ins:
        return list(tape.calls), held

    @cache
    def renamed(old: bytes) -> bytes:
        before = held.get(old.decode(), b"")
        now = anew(stand_ins.get(old.decode(), before))
        return old if now == before else object_id(now).encode()

    def anew(encoded: bytes) -> bytes:
        return _ID.sub(lambda match: renamed(match[0]), encoded)

    calls = []
    for call in tape.calls:
        whole = _put_back(call, stand_ins)
        answer = None if whole.answer is None else anew(whole.answer)
        calls.append(replace(whole, request=anew(whole.request), answer=answer))
    contents = [anew(encoded) for encoded in (*stand_ins.values(), *held.values())]
    return calls, {object_id(content): content for content in contents}


def _contents(calls: Iterable[Call]) -> dict[str, bytes]:
    """Return the objects whose content is on a tape, by id.

    Source of the field numbers: flwr 1.19 to 1.42, `PullObjectRequest` and so on in
    `flwr/proto/message.proto`.
    """
    contents = {}
    for call in calls:
        if call.method in ("PullObject", "PushObject") and not call.left_out_bytes:
            held = (call.answer or b"", 3) if call.method == "PullObject" else (call.request, 4)
            for content in views(*held):
                for id_ in texts(call.request, 3):
                    contents[id_] = bytes(content)
    return contents


def _named(tape: Tape) -> set[str]:
    """Return the ids in object trees, and of all that was left out."""
    named = {_left_out_id(call) for call in tape.calls if call.left_out_bytes}
    for call in tape.calls:
        trees = call.answer if call.method == "PullMessages" else call.request
        if call.method in ("PullMessages", "PushMessages"):
            for tree in views(trees or b"", 3):
                named.update(match.decode() for match in _ID.findall(tree))
    return named


def _children(tape: Tape) -> Iterator[tuple[str, list[str]]]:
    """Yield the ids of the objects in the trees of replies, each with those of its children."""
    for call in tape.calls:
        if call.method == "PushMessages":
            nodes = list(fleet.PushMessagesRequest.FromString(call.request).message_object_trees)
            while nodes:
                node = nodes.pop()
                yield node.object_id, [child.object_id for child in node.children]
                nodes.extend(node.children)


def _stand_in(named: str, children: Sequence[str]) -> bytes:
    """Return what has the form of a Flower object; in an app's place it does no harm."""
    # In capitals, so that the id in it is not taken for one and made anew.
    body = f"for {named.upper()}"
    return f"ArrayChunk {','.join(children)} {len(body)}\0{body}".encode()


def _left_out_id(call: Call) -> str:
    place = (call.answer or b"", 1, 1) if call.method == "GetFab" else (call.request, 3)
    return texts(*place)[0]


def _put_back(call: Call, stand_ins: Mapping[str, bytes]) -> Call:
    """Return a call with a stand-in for what was left out of it."""
    if not call.left_out_bytes:
        return call
    stand_in = stand_ins[_left_out_id(call)]
    match call.method:
        case "GetFab":
            fab = fleet.GetFabResponse.FromString(call.answer or b"")
            fab.fab.content = stand_in
            return replace(call, answer=fab.SerializeToString())
        case "PullObject":
            pulled = fleet.PullObjectResponse.FromString(call.answer or b"")
            pulled.object_content = stand_in
            return replace(call, answer=pulled.SerializeToString())
        case _:
            pushed = fleet.PushObjectRequest.FromString(call.request)
            pushed.object_content = stand_in
            return replace(call, request=pushed.SerializeToString())
