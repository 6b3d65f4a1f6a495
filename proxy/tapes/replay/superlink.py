"""The SuperLink of a tape: answers what it answered, and expects to be asked what it was asked."""

from collections.abc import Mapping, Sequence

from protos import fleet_pb2 as fleet
from proxy.errors import Unimplemented
from proxy.fleet.wire import texts
from proxy.tapes.replay.rules import (
    COUNTERPARTS,
    FREE_CALLS,
    HEARTBEATS,
    Difference,
    Expected,
    listed,
    told,
    unlike,
)
from proxy.tapes.tape import Call
from proxy.transport.node_key import NodeKey

_ALIVE = fleet.SendNodeHeartbeatResponse(success=True).SerializeToString()


class RecordedSuperLink:
    """Implements `proxy.transport.superlink.Transport`: answers as the SuperLink on a tape did.

    Parameters
    ----------
    tape : Sequence[Call]
        All calls of the tape that were answered.
    contents : Mapping[str, bytes]
        The objects on the tape, by id.
    asked : set[int]
        Receives the numbers of the calls of GetRun and GetFab that were made.
    """

    def __init__(
        self, tape: Sequence[Call], contents: Mapping[str, bytes], asked: set[int]
    ) -> None:
        self._tape = tape
        self._contents = contents
        self._asked = asked
        self._scene: list[Expected] = []
        self._by_request: dict[tuple[str, bytes], Expected] = {}

    def expect(self, expected: list[Expected]) -> None:
        """Begin a scene."""
        self._scene = expected
        self._by_request = {
            (expectation.call.method, expectation.call.request): expectation
            for expectation in expected
        }

    def finish(self) -> None:
        """End the scene.

        Raises
        ------
        Difference
            If a call of it was not made.
        """
        for expectation in self._scene:
            if not expectation.made and expectation.call.method not in FREE_CALLS:
                raise Difference(f"The bridge never made {told(expectation.call)}.")

    def call(self, method: str, request: bytes) -> bytes:
        """Answer a call; see `proxy.transport.superlink.Transport`.

        Raises
        ------
        Difference
            If the SuperNode on the tape made no such call, or not yet, or not again.
        Unimplemented
            If the SuperLink on the tape is of a release that has another method for it.
        """
        same = self._by_request.get((method, request))
        for expectation in [same] if same is not None else self._scene:
            if expectation.call.method == method and not unlike(
                "request", expectation.call, request
            ):
                self._make(expectation)
                return expectation.call.answer or b""
        return self._beyond_the_scene(method, request)

    def use_key(self, key: NodeKey) -> None:
        """Do nothing: what is not recorded is not checked."""

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _make(self, made: Expected) -> None:
        made.made += 1
        self._asked.add(made.call.number)
        if made.call.method in FREE_CALLS:
            return
        if made.made > 1:
            raise Difference(f"The bridge made {told(made.call)} again.")
        for earlier in self._scene[: self._scene.index(made)]:
            method = earlier.call.method
            if not earlier.made and method not in FREE_CALLS and method != made.call.method:
                raise Difference(
                    f"The bridge made {told(made.call)}, without {told(earlier.call)}, which the"
                    " SuperNode made before."
                )

    def _beyond_the_scene(self, method: str, request: bytes) -> bytes:
        """Answer what was not recorded for this message, if a rule says that it may be asked."""
        alike = [call for call in self._tape if call.method == method]
        if not alike and method in HEARTBEATS and not self._has(COUNTERPARTS.get(method)):
            return _ALIVE
        if not alike and self._has(COUNTERPARTS.get(method)):
            raise Unimplemented(f"The SuperLink on the tape does not have {method}.")
        for call in alike:
            numbers = {difference.numbers for difference in unlike("request", call, request)}
            if method in FREE_CALLS and numbers <= {"1.1"}:
                self._asked.add(call.number)
                return call.answer or b""
            if method == "PullObject" and numbers == {"3"}:
                (wanted,) = texts(request, 3)
                content = self._contents.get(wanted)
                if content is not None and self._is_named(wanted):
                    return fleet.PullObjectResponse(
                        object_found=True, object_available=True, object_content=content
                    ).SerializeToString()
        raise self._unheard_of(method, request, alike)

    def _has(self, method: str | None) -> bool:
        return any(call.method == method for call in self._tape)

    def _is_named(self, wanted: str) -> bool:
        return any(
            wanted.encode() in (expectation.call.answer or b"") for expectation in self._scene
        )

    def _unheard_of(self, method: str, request: bytes, alike: Sequence[Call]) -> Difference:
        here = [
            expectation.call for expectation in self._scene if expectation.call.method == method
        ]
        nearest = min(
            here or alike, key=lambda call: len(unlike("request", call, request)), default=None
        )
        if nearest is None:
            return Difference(f"The bridge made a call of {method}; there is none on the tape.")
        return Difference(
            f"The bridge made a call of {method} that is not on the tape{'' if here else ' here'}."
            f" The nearest is {told(nearest)}; it differs in"
            + listed(unlike("request", nearest, request))
        )
