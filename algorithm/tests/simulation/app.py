"""The ServerApp: sends the model to all nodes, and makes the next one of their replies."""

import hashlib
from collections.abc import Mapping

from algorithm.tests.simulation.runtime import answer_of
from algorithm.tests.simulation.world import World, raise_soon
from protos import fleet_pb2 as fleet
from proxy.testing import Objects, record_dict

TTL_SECONDS = 150.0
_LOOK_SECONDS = 3.0
_NO_NODES_SECONDS = 60.0


class ServerApp:
    """One run, which may be started again.

    Attributes
    ----------
    ended : bool
        Whether it is over.
    models : list[str]
        The model after each round.
    errors : int
        How many error replies it got.
    complete : bool
        Whether each station has answered each time.
    """

    def __init__(self, world: World) -> None:
        self.ended = False
        self.models: list[str] = []
        self.errors = 0
        self.complete = True
        self._world = world

    def main(self) -> None:
        """Run all rounds."""
        self.ended, self.complete, self.models = False, True, []
        model = b"the first model"
        for number in range(1, self._world.plan.rounds + 1):
            content = record_dict(weights=model)
            answers = self._answers(number, content)
            self.complete &= len(answers) == len(self._world.plan.stations)
            model = _next_model(answers)
            self.models.append(model.hex())
        self._world.superlink.end_run(self._world.superlink.run_id)
        self._world.scheduler.tell("the run is over")
        self._world.calm_down()
        self.ended = True

    def _answers(self, number: int, content: Objects) -> Mapping[str, Objects]:
        """Send a message to each node; returns what they answer, by message."""
        world, superlink = self._world, self._world.superlink
        waiting = {}
        for node_id in self._nodes():
            message_id = superlink.push_instruction(content, node_id, TTL_SECONDS)
            world.truth.sent[message_id] = world.now
            world.scheduler.tell(f"round {number}: sends message {message_id:.6} to {node_id}")
            waiting[message_id] = node_id
        answers: dict[str, Objects] = {}
        while waiting:
            world.scheduler.sleep(_LOOK_SECONDS)
            superlink.look_who_is_online()
            for message_id, node_id in list(waiting.items()):
                reply: Objects | fleet.Error | None
                if complete := superlink.is_complete(message_id):
                    reply = superlink.reply_to(message_id)
                else:
                    reply = self._given_up(message_id, node_id)
                if reply is None:
                    continue
                del waiting[message_id]
                if isinstance(reply, fleet.Error):
                    self._is_due(message_id, reply, not complete)
                else:
                    self._is_right(message_id, reply, content, answers)
                    answers[message_id] = reply
        return answers

    def _nodes(self) -> list[int]:
        """Return who is online; all of them, if they come in time."""
        world, superlink = self._world, self._world.superlink
        give_up = world.now + _NO_NODES_SECONDS
        while True:
            superlink.look_who_is_online()
            there = sorted(superlink.online)
            if len(there) >= len(world.plan.stations) or (there and world.now > give_up):
                return there
            world.scheduler.sleep(_LOOK_SECONDS)

    def _given_up(self, message_id: str, node_id: int) -> fleet.Error | None:
        """Return what a SuperLink says itself of a message that will have no reply."""
        world, superlink = self._world, self._world.superlink
        if world.now > world.truth.sent[message_id] + TTL_SECONDS:
            return fleet.Error(code=3, reason="The message has expired.")
        if node_id not in superlink.online:
            return fleet.Error(code=5, reason="The node is offline.")
        return None

    def _is_due(self, message_id: str, error: fleet.Error, waits: bool) -> None:
        world = self._world
        self.errors += 1
        text = f"message {message_id:.6}: error {error.code}: {error.reason}"
        world.scheduler.tell(text)
        # An error that was noted may be said again long after.
        since = 0.0 if world.plan.runs else world.truth.sent[message_id]
        unheard = error.reason.startswith("The SuperLink did not answer") and any(
            each > since for each in world.unheard
        )
        if not (world.leaving or unheard or world.may_have_cost(since, waits)):
            raise_soon(world, f"an error reply that nothing explains: {text}")

    def _is_right(
        self, message_id: str, reply: Objects, content: Objects, others: Mapping[str, Objects]
    ) -> None:
        station = self._world.truth.trained.get(message_id)
        if station is None and self._world.plan.runs:  # the reply to one that said the same
            given = {each.tree.object_id for each in others.values()}
            left = {answer_of(name, content).tree.object_id for name in self._world.plan.stations}
            if reply.tree.object_id not in left - given:
                raise_soon(self._world, f"message {message_id:.6} has the reply to another")
        elif station is None:
            raise_soon(self._world, f"message {message_id:.6} has a reply and was never trained")
        elif reply.tree.object_id != answer_of(station, content).tree.object_id:
            raise_soon(self._world, f"message {message_id:.6} has the reply to another")


def _next_model(answers: Mapping[str, Objects]) -> bytes:
    parts = sorted(each.tree.object_id for each in answers.values())
    return hashlib.sha256("".join(parts).encode()).digest()


def undisturbed(stations: list[str], rounds: int) -> list[str]:
    """Return the models of a run in which nothing goes wrong."""
    model, models = b"the first model", []
    for _ in range(rounds):
        content = record_dict(weights=model)
        model = _next_model({name: answer_of(name, content) for name in stations})
        models.append(model.hex())
    return models
