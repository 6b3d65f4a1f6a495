"""The SuperLink, the network before it, and the ServerApp behind it.

It answers as `proxy.transport.testing.FakeSuperLink` does, and takes a node for offline when it
has not heard of it for a minute. To a message that has expired, or whose node is offline, it gives
the ServerApp an error reply; what comes later for that message is of no use (flwr 1.41,
`server/superlink/linkstate/`).

Not modelled: that it is killed. It has a database, so that would be as if it were away.
"""

from algorithm.tests.simulation.world import COSTLY_SECONDS, World
from protos import fleet_pb2 as fleet
from proxy.errors import Unreachable
from proxy.fleet.messages import Reply
from proxy.testing import FakeSuperLink
from proxy.transport.node_key import NodeKey

_OFFLINE_SECONDS = 60.0
_ANSWER_SECONDS = 0.04
_GIVES_UP_SECONDS = 2.0


class SimulatedSuperLink(FakeSuperLink):
    """The SuperLink."""

    def __init__(self, world: World) -> None:
        super().__init__(clock=world.true_time)
        self._world = world
        self.told_beforehand, self.repeats = world.plan.keys, world.plan.repeats
        self._seen: dict[int, float] = {}

    def answer(self, method: str, request: bytes) -> bytes:
        """Answer a call that arrived."""
        self.look_who_is_online()
        before, refusals = set(self.online), len(self.refused)
        answer = self.call(method, request)
        heard = self.online - before
        if method in ("SendNodeHeartbeat", "Ping"):
            heard.add(fleet.SendNodeHeartbeatRequest.FromString(request).node.node_id)
        for node_id in heard & self.online:
            self._seen[node_id] = self._world.now
        if method == "PushMessages":
            self._world.truth.pushed(Reply.decode(request), refused=len(self.refused) > refusals)
        return answer

    def look_who_is_online(self) -> None:
        """Take nodes for offline that said nothing for long."""
        for node_id in list(self.online):
            if self._world.now - self._seen.get(node_id, 0.0) > _OFFLINE_SECONDS:
                self.online.discard(node_id)

    def expiry_of(self, message_id: str) -> float:
        """When a message expires, in seconds since the epoch."""
        said = self._instructions[message_id]
        return said.created_at + said.ttl

    def knows(self, message_id: str) -> bool:
        """Whether it has, or had, this message."""
        return message_id in self._instructions

    def is_complete(self, message_id: str) -> bool:
        """Whether the reply to a message is here, with all of its objects."""
        reply = self.replies.get(message_id)
        return reply is not None and all(each in self._objects for each in reply.object_ids)


class Network:
    """Implements `proxy.transport.superlink.Transport`, for one node's connection."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lost_since: dict[str, float] = {}  # by method, of calls none of which was answered

    def call(self, method: str, request: bytes) -> bytes:
        """Call the SuperLink; the call or its answer may be lost."""
        try:
            answer = self._call(method, request)
        except Unreachable:
            since = self._lost_since.setdefault(method, self._world.now)
            if self._world.now - since > COSTLY_SECONDS:
                self._world.unheard.append(self._world.now)
            raise
        self._lost_since.pop(method, None)
        return answer

    def _call(self, method: str, request: bytes) -> bytes:
        world, faults, chance = self._world, self._world.faults, self._world.scheduler.chance
        world.scheduler.sleep(_ANSWER_SECONDS * chance.random())
        if world.is_away("superlink"):
            world.scheduler.sleep(_GIVES_UP_SECONDS)
            raise Unreachable(f"The SuperLink did not answer {method}.")
        troubled = world.troubled and chance.random() < faults.lost
        if troubled and chance.random() < 0.5:
            raise Unreachable(f"The SuperLink did not answer {method}: the call is lost.")
        answer = world.superlink.answer(method, request)
        if method == "PullMessages" and answer and not (troubled and world.plan.repeats):
            # A message that is handed out again may be lost: nobody has it yet.
            said = fleet.PullMessagesResponse.FromString(answer).messages_list[0].metadata
            world.truth.pulled(said.message_id)
        if troubled and method == "PullMessages" and answer and not world.plan.repeats:
            # Who hands out a message once has lost it then.
            if not faults.harsh:
                return answer
            world.cost("the answer to PullMessages is lost")
        if troubled:
            raise Unreachable(f"The SuperLink did not answer {method}: its answer is lost.")
        world.scheduler.seam()
        return answer

    def use_key(self, key: NodeKey) -> None:
        """Do nothing: nobody checks signatures."""

    def close(self) -> None:
        """Do nothing: there is no connection."""
