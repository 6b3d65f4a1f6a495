"""Replaying a tape: whether the bridge still says what SuperNode and SuperLink said to each other.

    SuperLink of the tape <- Delivery -> bundles -> ClientProxy <- SuperNode of the tape

The bridge stands between the two ends of the tape, in memory and without Flower. It is to make the
calls of the SuperNode, with the same requests, and to give the answers of the SuperLink, field by
field. Only this may differ:

1.  Polls that return nothing, heartbeats, and calls that were refused are not replayed.
2.  GetRun and GetFab may come at another time, and more or less often, than on the tape; each is
    made at least once, for whichever SuperNode.
3.  Calls of one method for one message may come in another order: objects are pulled and pushed in
    parallel. Calls of different methods may not.
4.  The bridge may pull objects of a message that the SuperNode held already, and asks once for
    one for which the SuperNode asked again because it was not there yet.
5.  The ClientProxy asks for every object of a reply; the SuperLink does not for those that it has.
    The SuperNode pushes what it is asked for.
6.  A public key is each node's own (RegisterNode, ActivateNode). Timestamps and signatures of
    calls are not on the tape.
7.  `session_id` in the answer to PushMessages is whatever the one says that answers; the central
    side must hand on the SuperLink's. `reconnect` and `results` there are for nobody: no SuperNode
    reads them (flwr 1.15 to 1.42).
8.  RegisterNode and SendNodeHeartbeat are tried first where a SuperLink has CreateNode and Ping.
9.  An error reply that the bridge makes itself is that of the SuperNode, byte by byte, but for the
    ClientApp's run time.
10. A message that is not complete on the tape, because its run or the recorder ended, is skipped.

The tables for this are `FREE_CALLS`, `FREE_FIELDS` and `COUNTERPARTS` in `rules`.
"""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from proxy.central.delivery import Delivery
from proxy.central.events import Answered, Event, Pulled
from proxy.central.fabs import Fabs
from proxy.central.report import MessageRecord
from proxy.central.stations import Station, Terms
from proxy.clock import SystemClock
from proxy.errors import BridgeError, TapeError
from proxy.fleet.wire import texts, values
from proxy.tapes.replay.report import check_error_reply, check_report
from proxy.tapes.replay.rules import (
    FREE_CALLS,
    HEARTBEATS,
    Difference,
    Expected,
    scene,
    told,
)
from proxy.tapes.replay.stand_ins import filled
from proxy.tapes.replay.story import Story, stories_on
from proxy.tapes.replay.superlink import RecordedSuperLink
from proxy.tapes.replay.supernode import RecordedSuperNode
from proxy.tapes.tape import Call, Tape
from proxy.transport.superlink import SuperLink

_DEADLINE_SECONDS = 3600.0


@dataclass(frozen=True)
class Replayed:
    """A tape that was replayed without a difference.

    Attributes
    ----------
    tape : Tape
        The tape.
    nodes, messages, skipped : int
        How many SuperNodes and messages were replayed, and how many messages were not.
    """

    tape: Tape
    nodes: int
    messages: int
    skipped: int

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return (
            f"{self.tape.name}: no difference in {self.messages} messages{skipped} to {self.nodes}"
            f" SuperNodes ({self.tape.header.about})"
        )


def replay(tape: Tape) -> Replayed:
    """Replay a tape.

    Raises
    ------
    Difference
        If the bridge does otherwise than the other end on the tape did: the first difference.
    TapeError
        If nothing on the tape can be replayed, or what it holds is no conversation.
    """
    try:
        return _replayed(tape)
    except DecodeError as error:
        raise TapeError(f"Tape {tape.name} has an invalid Fleet message: {error}") from error
    except (LookupError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        # A tape may lack any field that the calls of a conversation have.
        raise TapeError(f"Tape {tape.name} holds no sound conversation: {error!r}.") from error


def _replayed(tape: Tape) -> Replayed:
    whole, contents = filled(tape)
    calls = [call for call in whole if call.answer is not None]
    stories = list(stories_on(calls))
    asked, fabs = set[int](), Fabs()
    messages = sum(len(story.messages) for story in stories)
    if not messages:
        raise TapeError(f"Tape {tape.name} has no message with a complete reply.")
    for story in stories:
        superlink = RecordedSuperLink(calls, contents, asked)
        with tempfile.TemporaryDirectory(prefix="flower-v6-replay-") as folder:
            _Replay(tape.name, story, superlink, contents, fabs, Path(folder)).run()
    with _at(tape.name):
        _check_asked(calls, asked)
    return Replayed(tape, len(stories), messages, sum(story.skipped for story in stories))


class _Replay:
    """Replays what one SuperNode said and heard."""

    def __init__(
        self,
        tape: str,
        story: Story,
        superlink: RecordedSuperLink,
        contents: Mapping[str, bytes],
        fabs: Fabs,
        folder: Path,
    ) -> None:
        self._where = f"{tape}, SuperNode {story.node_id}"
        self._story = story
        self._superlink = superlink
        self._supernode = RecordedSuperNode(story.node_id, contents)
        self._node = SuperLink(superlink)
        self._heartbeats = scene(story.heartbeats)
        self._clock = _TapeClock()
        self._station = Station("tape", self._node, self._supernode, folder)
        self._terms = Terms(_DEADLINE_SECONDS, threading.Event(), self._clock, fabs)

    def run(self) -> None:
        """Replay from joining to leaving."""
        story = self._story
        with _at(f"{self._where}, joining"):
            if story.joining:
                self._act(scene(story.joining) + self._heartbeats, self._node.register)
            else:
                self._node.node_id = story.node_id
        for calls in story.messages:
            message_id = texts(calls[0].answer or b"", 2, 1, 2)[0]
            with _at(f"{self._where}, message {message_id}"):
                self._serve(calls)
        with _at(f"{self._where}, leaving"):
            if story.joining and story.leaving:
                self._act(scene(story.leaving), self._node.unregister)

    def _act(self, expected: list[Expected], act: Callable[[], None]) -> None:
        """Replay what is no message: first towards the SuperLink, then towards the SuperNode."""
        self._superlink.expect(expected)
        act()
        self._superlink.finish()
        self._supernode.expect(expected)
        self._supernode.play()

    def _serve(self, calls: Sequence[Call]) -> None:
        """Replay one message."""
        self._clock.now = calls[0].at
        expected = scene(calls)
        self._superlink.expect(expected + self._heartbeats)
        self._supernode.expect(expected)
        instruction = self._node.pull_messages()
        if instruction is None:
            raise Difference(f"The bridge finds no message in the answer to {told(calls[0])}.")
        record = MessageRecord("tape", "", "", "", "")

        def trace(event: Event) -> None:
            nonlocal record
            if isinstance(event, Pulled):
                record = MessageRecord.begin(event)
            if isinstance(event, Answered) and isinstance(event.error, Difference):
                raise event.error
            record.add(event)

        Delivery(self._station, self._terms, instruction, trace).run()
        self._superlink.finish()
        check_report(record, calls)
        check_error_reply(instruction, calls)


class _TapeClock(SystemClock):
    """Has the wall clock stand where the tape is.

    Attributes
    ----------
    now : float
        Seconds since the epoch.
    """

    now = 0.0

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self.now


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Say of every error where it is, and make a difference of those that the bridge raises."""
    try:
        yield
    except Difference as error:
        raise Difference(f"{where}:\n  {error.message}") from error
    except BridgeError as error:
        raise Difference(
            f"{where}:\n  The bridge failed with {type(error).__name__}: {error.message}"
        ) from error


def _check_asked(calls: Iterable[Call], asked: set[int]) -> None:
    """Check that each run and each app was asked for, by whichever SuperNode."""
    made = {_without_node(call) for call in calls if call.number in asked}
    for call in calls:
        if call.method in FREE_CALLS - {*HEARTBEATS} and _without_node(call) not in made:
            raise Difference(f"The bridge never made {told(call)}, nor one like it.")


def _without_node(call: Call) -> tuple[object, ...]:
    return (call.method, *values(call.request, 2), *values(call.request, 3))
