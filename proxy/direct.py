"""A run without a SuperLink: what stands between a ServerApp's Grid and the virtual SuperNodes.

`LinkState` is named for what keeps the messages in a SuperLink. Messages and replies are whole
Flower Messages, whose bytes pass through unchanged. It knows no processes: whoever has the Grid
calls `push`, and is called back with each reply.
"""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from protos import fleet_pb2 as fleet
from proxy.blocks import Data, Joined, Part, size_of
from proxy.errors import FleetError
from proxy.fleet import wire
from proxy.fleet.inline import MESSAGES_LIST, place_of_message, start_of_field
from proxy.fleet.link import HEARTBEAT_INTERVAL_SECONDS
from proxy.fleet.messages import (
    SUPERLINK_NODE_ID,
    ErrorCode,
    Instruction,
    PushAnswer,
    Reply,
    error_reply,
)
from proxy.fleet.releases import Layout

log = logging.getLogger(__name__)

# How long a call that waits for a message is held open; stopping has to wait for it.
_LONG_POLL_SECONDS = 0.5
# The number of the field `GetRunResponse.run`.
_RUN = 1


class LinkState:
    """The messages of one run that have no reply yet, and the nodes that they are for.

    Parameters
    ----------
    deliver : Callable[[str, Data], None]
        Takes the id of each message and its reply, an encoded Flower Message, from any thread.
    nodes_changed : Callable[[Sequence[int]], None]
        Hears the ids of the nodes that are online, whenever they are others than before.
    clock : Callable[[], float]
        Tells the time, in seconds since the epoch.
    """

    def __init__(
        self,
        deliver: Callable[[str, Data], None],
        nodes_changed: Callable[[Sequence[int]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._deliver = deliver
        self._nodes_changed = nodes_changed
        self._clock = clock
        self._changed = threading.Condition()
        self._nodes: dict[int, DirectLink] = {}
        self._online: Sequence[int] = ()
        self._unanswered: dict[str, Instruction] = {}
        self.get_run_response = self.get_fab_response = b""

    def open(self, run: bytes, fab: fleet.Fab) -> None:
        """Say which run it is, before the first message: an encoded Flower `Run`, and its app."""
        self.get_run_response = wire.field(_RUN, run)
        self.get_fab_response = fleet.GetFabResponse(fab=fab).SerializeToString()

    def push(self, message: Data) -> None:
        """Take an encoded Flower Message for a node.

        Raises
        ------
        FleetError
            If it is none.
        """
        start = start_of_field(MESSAGES_LIST, size_of(message))
        instruction = Instruction.decode(Joined(start, message), whole=True)
        assert instruction is not None  # noqa: S101 - there is one field, with one message
        with self._changed:
            self._unanswered[instruction.message_id] = instruction
            node = self._nodes.get(instruction.metadata.dst_node_id)
            if node is not None:
                node.waiting.append(instruction)
                self._changed.notify_all()
        if node is None:
            self._fail(instruction, ErrorCode.NODE_UNAVAILABLE, "There is no such node.")

    def check(self) -> None:
        """Answer what no station will: messages for nodes that are offline, and expired ones.

        A SuperLink does so whenever a Grid asks for replies. To be called every now and then.
        """
        now = self._clock()
        with self._changed:
            self._tell_nodes(now)
            waiting = [
                each
                for node in self._nodes.values()
                if node.online_until < now
                for each in node.waiting
            ]
            expired = [each for each in self._unanswered.values() if each.expires_at < now]
        for each in waiting:
            self._fail(each, ErrorCode.NODE_UNAVAILABLE, "The node is offline.")
        for each in expired:
            self._fail(each, ErrorCode.MESSAGE_UNAVAILABLE, "The message has expired.")

    def connect(self, station: str) -> "DirectLink":
        """Return what a virtual SuperNode needs."""
        return DirectLink(self)

    def add(self, node: "DirectLink") -> int:
        """Let a node in; returns its id."""
        with self._changed:
            node_id = SUPERLINK_NODE_ID
            while node_id in (0, SUPERLINK_NODE_ID) or node_id in self._nodes:
                node_id = secrets.randbits(64)
            self._nodes[node_id] = node
        self.renew(node)
        return node_id

    def remove(self, node: "DirectLink") -> None:
        """Let a node go."""
        with self._changed:
            del self._nodes[node.node_id]
            self._tell_nodes(self._clock())

    def renew(self, node: "DirectLink") -> None:
        """Take a node for online, for some time."""
        with self._changed:
            now = self._clock()
            node.online_until = now + 2 * HEARTBEAT_INTERVAL_SECONDS
            self._tell_nodes(now)

    def take(self, node: "DirectLink") -> Instruction | None:
        """Return the next message for a node; waits a while for one."""
        with self._changed:
            self._changed.wait_for(lambda: node.waiting, _LONG_POLL_SECONDS)
            return node.waiting.popleft() if node.waiting else None

    def answer(self, reply: Reply) -> None:
        """Deliver a reply; the first one to a message is final."""
        message_id = reply.metadata.reply_to_message_id
        with self._changed:
            instruction = self._unanswered.pop(message_id, None)
            if instruction is None:
                log.warning(
                    "dropped a late reply to message %s: it was answered before", message_id
                )
                return
            node = self._nodes.get(instruction.metadata.dst_node_id)
            if node is not None and instruction in node.waiting:
                node.waiting.remove(instruction)
        place = place_of_message(reply.data)
        self._deliver(message_id, Part(reply.data, place.start, place.size))

    def _fail(self, instruction: Instruction, code: int, reason: str) -> None:
        reply, _ = error_reply(instruction, code, reason, self._clock())
        self.answer(reply)

    def _tell_nodes(self, now: float) -> None:
        online = [number for number, node in self._nodes.items() if node.online_until >= now]
        if online != self._online:
            self._online = online
            self._nodes_changed(online)


class DirectLink:
    """Implements `proxy.fleet.link.Link`: one virtual SuperNode's side of a `LinkState`.

    Attributes
    ----------
    node_id : int
        The node id; 0 before `register`.
    waiting : deque[Instruction]
        The messages that it has yet to take.
    online_until : float
        When it is taken for offline, in seconds since the epoch.
    long_polls : bool
        True: `pull_messages` waits a while for a message.
    """

    long_polls = True

    def __init__(self, state: LinkState) -> None:
        self._state = state
        self.node_id = 0
        self.waiting: deque[Instruction] = deque()
        self.online_until = 0.0

    def register(self) -> None:
        """Become a SuperNode that is online; sets `node_id`."""
        self.node_id = self._state.add(self)

    def unregister(self) -> None:
        """Stop being one."""
        self._state.remove(self)

    def heartbeat(self) -> None:
        """Stay online."""
        self._state.renew(self)

    def pull_messages(self) -> Instruction | None:
        """Return the next message; waits a while for one."""
        return self._state.take(self)

    def get_run(self, run_id: int) -> bytes:
        """Return the answer to GetRun."""
        return self._state.get_run_response

    def get_fab(self, run_id: int, fab_hash: str) -> bytes:
        """Return the answer to GetFab."""
        return self._state.get_fab_response

    def push_messages(self, reply: Reply, layout: Layout) -> PushAnswer:
        """Deliver a reply; it is whole, so there is nothing to push."""
        self._state.answer(reply)
        return PushAnswer()

    def pull_object(self, run_id: int, object_id: str) -> bytes | None:
        """Raise: messages are whole."""
        raise FleetError(f"There is no object {object_id} in run {run_id}: messages are whole.")

    def push_object(self, run_id: int, session_id: str, object_id: str, content: bytes) -> None:
        """Raise: messages are whole."""
        raise FleetError(f"Object {object_id} in run {run_id} is not needed: messages are whole.")

    def confirm_message_received(self, run_id: int, message_id: str) -> None:
        """Do nothing: of a message that was taken nothing is kept."""

    def close(self) -> None:
        """Do nothing: there is no connection."""
