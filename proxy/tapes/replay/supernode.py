"""The SuperNode of a tape: says what it said, and expects to be answered what it was answered."""

from collections.abc import Iterable, Mapping, Sequence

from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.carriers import Exchange
from proxy.client import ClientProxy, Delivery, Stage
from proxy.errors import BridgeError
from proxy.fleet.wire import numbers, views
from proxy.tapes.replay.rules import (
    Difference,
    Expected,
    ids_named,
    listed,
    object_named,
    told,
    unlike,
)
from proxy.tapes.tape import Call


class RecordedSuperNode:
    """A carrier whose station is the SuperNode on a tape, before a `ClientProxy`.

    Parameters
    ----------
    node_id : int
        Its node id.
    contents : Mapping[str, bytes]
        The objects on the tape, by id.
    """

    stations = ("tape",)

    def __init__(self, node_id: int, contents: Mapping[str, bytes]) -> None:
        self._proxy = ClientProxy(node_id)
        self._contents = contents
        self._scene: Sequence[Expected] = ()
        self._fabs: dict[str, bytes] = {}

    def expect(self, expected: Sequence[Expected]) -> None:
        """Begin a scene."""
        self._scene = expected

    def play(self) -> None:
        """Make the calls of the scene.

        Raises
        ------
        Difference
            If the ClientProxy answers otherwise than the SuperLink on the tape.
        """
        pushes = {
            expectation.call.request: expectation.call
            for expectation in self._scene
            if _is_push(expectation.call)
        }
        for expectation in self._scene:
            if not _is_push(expectation.call):
                answer = self._say(expectation.call)
                if expectation.call.method == "PushMessages":
                    self._push_objects(expectation.call, answer, pushes.values())

    def prepare(self, station: str, node_id: int) -> None:
        """Do nothing; see `proxy.carriers.Carrier`."""

    def online(self, station: str) -> bool:  # noqa: ARG002 - there is one
        """Whether the station can be reached: on a tape it can."""
        return True

    def exchange(self, station: str, exchange: Exchange) -> None:  # noqa: ARG002
        """Play the message that a bundle holds; see `proxy.carriers.Carrier`."""
        with Bundle(exchange.instruction) as bundle:
            fab_id = bundle.header.instruction.fab_object_id
            if fab_id in bundle.object_ids:
                self._fabs[fab_id] = bundle.read(fab_id)
            delivery = Delivery(bundle, self._fabs[fab_id], exchange.reply, "tape", lambda: None)
            self._proxy.offer(delivery, 0.0)
            self.play()
            self._proxy.withdraw()
        if delivery.stage != Stage.ANSWERED:
            raise Difference(self._what_is_lacking(delivery))

    def _what_is_lacking(self, delivery: Delivery) -> str:
        """Say why a reply is not complete although the SuperNode has said all."""
        for expectation in self._scene:
            if _is_push(expectation.call) and object_named(expectation.call) in delivery.missing:
                return f"The ClientProxy still lacks what {told(expectation.call)} brought."
        return f"The ClientProxy has not taken the reply for complete: it is {delivery.stage.name}."

    def close(self) -> None:
        """Do nothing; see `proxy.carriers.Carrier`."""

    def _say(self, call: Call) -> bytes:
        """Make a call; returns the ClientProxy's answer."""
        try:
            answer = self._proxy.handle(call.method, call.request, call.at)
        except BridgeError as error:
            raise Difference(
                f"The ClientProxy does not answer {told(call)}: {type(error).__name__}:"
                f" {error.message}"
            ) from error
        if answer is None:
            raise Difference(f"The ClientProxy has nothing to say to {told(call)}.")
        if differing := unlike("answer", call, answer):
            raise Difference(
                f"The ClientProxy's answer to {told(call)} differs from the SuperLink's in"
                + listed(differing)
            )
        return answer

    def _push_objects(self, announced: Call, answer: bytes, pushes: Iterable[Call]) -> None:
        """Push the objects that the ClientProxy asks for."""
        asked = ids_named(answer)
        _check_asked(announced, answer, asked)
        recorded = {object_named(call): call for call in pushes}
        run_id = numbers(announced.request, 2, 1, 1)[0]
        for id_ in asked:
            made = fleet.PushObjectRequest(
                node=fleet.Node(node_id=self._proxy.node_id),
                run_id=run_id,
                object_id=id_,
                object_content=self._contents[id_],
            )
            stored = fleet.PushObjectResponse(stored=True).SerializeToString()
            self._say(
                recorded.get(id_)
                or Call(
                    announced.number,
                    "PushObject",
                    announced.at,
                    made.SerializeToString(),
                    stored,
                )
            )


def _check_asked(announced: Call, answer: bytes, asked: Sequence[str]) -> None:
    """Check which objects the ClientProxy asks for, and how: all of the tree, and no others."""
    meant = announced.answer or b""
    wanted, tree = ids_named(meant), ids_named(announced.request)
    if wanted and _is_map(meant) != _is_map(answer):
        raise Difference(
            f"The ClientProxy's answer to {told(announced)} differs from the SuperLink's in the"
            " form of objects_to_push (3): one is a list of ids, the other a map."
        )
    for id_ in wanted:
        if id_ not in asked:
            raise Difference(
                f"The ClientProxy's answer to {told(announced)} lacks object {id_} in"
                " objects_to_push (3), for which the SuperLink asked."
            )
    for id_ in asked:
        if id_ not in tree:
            raise Difference(
                f"The ClientProxy's answer to {told(announced)} has object {id_} in"
                " objects_to_push (3), which is not in the reply's tree."
            )


def _is_map(answer: bytes) -> bool:
    """Whether the objects to push are named as in 1.19: by message."""
    return ids_named(answer) != [str(view, errors="replace") for view in views(answer, 3)]


def _is_push(call: Call) -> bool:
    return call.method == "PushObject"
