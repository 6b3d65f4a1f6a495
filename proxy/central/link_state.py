"""A run without a SuperLink: messages between a ServerApp's Grid and the virtual SuperNodes.

`LinkState` is named for what keeps the messages in a SuperLink. Messages and replies are whole
Flower Messages, whose bytes pass through unchanged. It knows no processes: whoever has the Grid
calls `push`, is called back with each reply, and asks what has changed about the nodes.

Nothing is called while the lock is held, and no call takes longer the more nodes there are, but for
`check`: so neither many stations nor a ServerApp that does not read keep the nodes from working.
"""

import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from protos import fleet_pb2 as fleet
from proxy.blocks import Data, Joined, part_of, size_of
from proxy.errors import FleetError
from proxy.fleet import one_reading, wire
from proxy.fleet.inline import MESSAGES_LIST, place_of_message, start_of_field, without_content
from proxy.fleet.messages import (
    SUPERLINK_NODE_ID,
    ErrorCode,
    Instruction,
    PushAnswer,
    Reply,
    error_reply,
)
from proxy.fleet.one_reading import ONE_MESSAGE
from proxy.fleet.releases import Layout
from proxy.transport.link import HEARTBEAT_INTERVAL_SECONDS

log = logging.getLogger(__name__)

# How long a call that waits for a message is held open; stopping has to wait for it.
_LONG_POLL_SECONDS = 0.5
# How long a node is taken for online without a word from it.
_ONLINE_SECONDS = 2 * HEARTBEAT_INTERVAL_SECONDS
# The number of the field `GetRunResponse.run`.
_RUN = 1


@dataclass(frozen=True)
class NodeInfo:
    """What a SuperLink says of a node; the names are those of `NodeInfo`, flwr/proto/node.proto.

    Attributes
    ----------
    node_id : int
        Its id.
    status : str
        "online", "offline", or "unregistered" if it is no node any more.
    registered_at, last_activated_at : str
        When it became a node, and when it was last offline before (ISO 8601).
    online_until : float
        When it will be taken for offline, in seconds since the epoch.
    heartbeat_interval : float
        How often it says that it is online, in seconds.
    owner_aid, owner_name : str
        Whose it is: nobody's in particular, as where nobody logs in.
    """

    node_id: int = 0
    status: str = "offline"
    registered_at: str = ""
    last_activated_at: str = ""
    online_until: float = 0.0
    heartbeat_interval: float = HEARTBEAT_INTERVAL_SECONDS
    owner_aid: str = "<id:none>"
    owner_name: str = "none"


class LinkState:
    """The messages of one run that have no reply yet, and the nodes that they are for.

    Parameters
    ----------
    deliver : Callable[[str, Data], None]
        Takes each reply: the id of the message, and an encoded Flower Message. It is called once
        for each message, from any thread.
    clock : Callable[[], float]
        Tells the time, in seconds since the epoch, that messages' times to live are held against.
    monotonic : Callable[[], float]
        Tells the time that stands still with the machine, in seconds: a node that was suspended
        with it is as much online as before.
    node_ids : Mapping[str, int]
        The node ids of stations that get no new one.

    Attributes
    ----------
    lock : threading.Lock
        Held while anything of it changes; nodes wait for messages with it.
    """

    def __init__(
        self,
        deliver: Callable[[str, Data], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        node_ids: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._node_ids = node_ids
        self._deliver = deliver
        self._clock = clock
        self._monotonic = monotonic
        self.lock = threading.Lock()
        self._nodes: dict[int, DirectLink] = {}
        # What is new of nodes since somebody asked.
        self._news: dict[int, NodeInfo] = {}
        self._has_news = threading.Condition(self.lock)
        self._closed = False
        self._unanswered: dict[str, Instruction] = {}
        self.get_run_response = self.get_fab_response = b""

    def open(self, run: bytes, fab: fleet.Fab) -> None:
        """Say which run it is, before the first message: an encoded Flower `Run`, and its app."""
        self.get_run_response = wire.field(_RUN, run)
        self.get_fab_response = fleet.GetFabResponse(fab=fab).SerializeToString()

    def push(self, message: Data) -> None:
        """Take an encoded Flower Message for a node; one that waits for its reply is there already.

        Raises
        ------
        FleetError
            If it is none, if two parsers may read it differently, or if it has no time to live.
        """
        pulled = Joined(start_of_field(MESSAGES_LIST, size_of(message)), message)
        try:
            one_reading.check(fleet.PullMessagesResponse, without_content(pulled), ONE_MESSAGE)
            instruction = Instruction.decode(pulled, whole=True)
        except FleetError as error:
            raise FleetError(f"The ServerApp sent what is no message: {error.message}") from error
        assert instruction is not None  # noqa: S101 - there is one field, with one message
        if not instruction.message_id or math.isnan(instruction.expires_at):
            raise FleetError("The ServerApp sent a message that has no id, or no time to live.")
        with self.lock:
            if instruction.message_id in self._unanswered:
                return
            self._unanswered[instruction.message_id] = instruction
            node = self._nodes.get(instruction.metadata.dst_node_id)
            if node is not None:
                node.waiting.append(instruction)
                node.arrived.notify()
        if node is None:
            self._fail(instruction, ErrorCode.NODE_UNAVAILABLE, "There is no such node.")

    def check(self) -> Sequence[Instruction]:
        """Answer the messages that no station will: to nodes that are offline, and expired ones.

        A SuperLink does so whenever a Grid asks for replies. To be called every now and then.

        Returns
        -------
        Sequence[Instruction]
            Those of them that no node had taken.
        """
        now = self._clock()
        waiting: list[Instruction] = []
        with self.lock:
            for node in self._nodes.values():
                if not self._is_online(node):
                    self._note(node, replace(node.info, status="offline"))
                    waiting += node.waiting
            expired = [one for one in self._unanswered.values() if one.expires_at < now]
            untaken = [*waiting, *filter(self._is_queued, expired)]
        for instruction in waiting:
            self._fail(instruction, ErrorCode.NODE_UNAVAILABLE, "The node is offline.")
        for instruction in expired:
            self._fail(instruction, ErrorCode.MESSAGE_UNAVAILABLE, "The message has expired.")
        return untaken

    def wait_for_news(self) -> bool:
        """Wait until something about a node has changed; False if nobody wants to know any more."""
        with self.lock:
            self._has_news.wait_for(lambda: self._news or self._closed)
            return not self._closed

    def news(self) -> Sequence[NodeInfo]:
        """Return the nodes about which something has changed since the last call, as they are."""
        with self.lock:
            news, self._news = list(self._news.values()), {}
        return news

    def close(self) -> None:
        """Let nobody wait for news any more."""
        with self.lock:
            self._closed = True
            self._has_news.notify_all()

    def connect(self, station: str) -> "DirectLink":
        """Return a virtual SuperNode's link; the node has yet to register."""
        return DirectLink(self, self._node_ids.get(station, 0))

    def add(self, node: "DirectLink") -> None:
        """Let a node in; it gets an id, unless it has one."""
        with self.lock:
            node_id = node.wanted_id
            while node_id in (0, SUPERLINK_NODE_ID) or node_id in self._nodes:
                node_id = secrets.randbits(64)
            node.node_id = node_id
            node.info = NodeInfo(node_id, registered_at=self._date())
            self._nodes[node_id] = node
            self._renew(node)

    def remove(self, node: "DirectLink") -> None:
        """Let a node go; it answers nothing any more."""
        with self.lock:
            del self._nodes[node.node_id]
            self._note(node, replace(node.info, status="unregistered"))
            orphans = [
                instruction
                for instruction in self._unanswered.values()
                if instruction.metadata.dst_node_id == node.node_id
            ]
        for instruction in orphans:
            self._fail(instruction, ErrorCode.NODE_UNAVAILABLE, "The node is gone.")

    def renew(self, node: "DirectLink") -> None:
        """Take a node for online, for some time."""
        with self.lock:
            if self._nodes.get(node.node_id) is node:
                self._renew(node)

    def take(self, node: "DirectLink") -> Instruction | None:
        """Return the next message for a node; waits a while for one."""
        with self.lock:
            node.arrived.wait_for(lambda: node.waiting, _LONG_POLL_SECONDS)
            return node.waiting.popleft() if node.waiting else None

    def answer(self, node: "DirectLink", reply: Reply) -> None:
        """Deliver a node's reply; the first one to a message is final.

        One that cannot be delivered, because it is not whole or two parsers may read it
        differently, becomes an error reply.
        """
        message_id = reply.metadata.reply_to_message_id
        with self.lock:
            instruction = self._unanswered.get(message_id)
        if instruction is None or instruction.metadata.dst_node_id != node.node_id:
            log.warning("dropped a reply to message %s: it has one, or is another's", message_id)
            return
        try:
            one_reading.check(fleet.PushMessagesRequest, without_content(reply.data), ONE_MESSAGE)
            if reply.object_ids:
                raise FleetError("The reply came in objects, not whole.")
            message = _message_in(reply)
        except FleetError as error:
            self._fail(instruction, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, error.message)
        else:
            self._deliver_first(instruction, message)

    def _fail(self, instruction: Instruction, code: int, reason: str) -> None:
        reply, _ = error_reply(instruction, code, reason, self._clock())
        self._deliver_first(instruction, _message_in(reply))

    def _deliver_first(self, instruction: Instruction, message: Data) -> None:
        """Deliver a reply that was checked, unless its message has one."""
        with self.lock:
            if self._unanswered.get(instruction.message_id) is not instruction:
                return
            del self._unanswered[instruction.message_id]
            node = self._nodes.get(instruction.metadata.dst_node_id)
            if node is not None and instruction in node.waiting:
                node.waiting.remove(instruction)
        self._deliver(instruction.message_id, message)

    def _is_queued(self, instruction: Instruction) -> bool:
        node = self._nodes.get(instruction.metadata.dst_node_id)
        return node is not None and any(instruction is other for other in node.waiting)

    def _is_online(self, node: "DirectLink") -> bool:
        return node.online_until >= self._monotonic()

    def _date(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat()

    def _renew(self, node: "DirectLink") -> None:
        online_until = self._clock() + _ONLINE_SECONDS
        info = replace(node.info, status="online", online_until=online_until)
        if not self._is_online(node):
            info = replace(info, last_activated_at=self._date())
        node.online_until = self._monotonic() + _ONLINE_SECONDS
        self._note(node, info)

    def _note(self, node: "DirectLink", info: NodeInfo) -> None:
        """Change a node's info, and note it as news."""
        if node.info != info:
            node.info = self._news[node.node_id] = info
            self._has_news.notify_all()


def _message_in(reply: Reply) -> Data:
    """Return the encoded Message of a reply."""
    place = place_of_message(reply.data)
    return part_of(reply.data, place.start, place.size)


class DirectLink:
    """Implements `proxy.transport.link.Link`: one virtual SuperNode's side of a `LinkState`.

    Attributes
    ----------
    node_id : int
        The node id; 0 before `register`.
    wanted_id : int
        The node id that it is to have; 0 for a new one.
    info : NodeInfo
        What a Grid may know of it.
    waiting : deque[Instruction]
        The messages that it has yet to take.
    arrived : threading.Condition
        Notified of each of them.
    online_until : float
        When it is taken for offline, on the clock that is `monotonic` to its `LinkState`.
    long_polls : bool
        True: `pull_messages` waits a while for a message.
    """

    long_polls = True

    def __init__(self, state: LinkState, wanted_id: int = 0) -> None:
        self._state = state
        self.wanted_id = wanted_id
        self.node_id = 0
        self.info = NodeInfo()
        self.waiting: deque[Instruction] = deque()
        self.arrived = threading.Condition(state.lock)
        self.online_until = -math.inf

    def register(self) -> None:
        """Become a SuperNode that is online; sets `node_id`."""
        self._state.add(self)

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
        self._state.answer(self, reply)
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
