"""A reply that a SuperLink refuses in silence is noticed, and one that is repeated is none."""

import itertools

import pytest

from proxy.central.push import Push
from proxy.errors import NotStored, ReplyRefused, Unreachable
from proxy.fleet.messages import Instruction, PushAnswer, Reply
from proxy.fleet.releases import SCHEMAS, Layout, Schema
from proxy.testing import FakeSuperLink, record_dict
from proxy.tests.liars import Lie
from proxy.transport.superlink import SuperLink

MODEL = record_dict(weights=b"weights")
TRAINED = record_dict(weights=b"trained")


class Conversation:
    """A SuperLink that handed out a message, and a reply to it."""

    def __init__(self, schema: Schema, lie: Lie = Lie()) -> None:  # noqa: B008 - it is frozen
        self.superlink = FakeSuperLink(schema=schema)
        self.node = SuperLink(self.superlink)
        self.node.register()
        self.message_id = self.superlink.push_instruction(MODEL, self.node.node_id)
        instruction = self.node.pull_messages()
        assert instruction is not None
        self.instruction: Instruction = instruction
        encoded, contents = lie.reply(instruction, TRAINED, instruction.metadata.created_at)
        reply = Reply.decode(encoded)
        given = self.node, reply, contents.__getitem__, instruction.layout
        self.push = Push(*given)
        self.successors = (Push(*given, announced=True) for _ in range(2))

    def lose_an_answer(self, method: str) -> None:
        """Have the push fail on its way back."""
        self.superlink.be_unreachable(1, method, answers=True)
        with pytest.raises(Unreachable):
            self.push()


era = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.releases)


@era
def test_a_reply_that_is_taken_is_there_in_full(schema: Schema) -> None:
    conversation = Conversation(schema)
    conversation.push()
    assert conversation.superlink.reply_to(conversation.message_id) == TRAINED


@era
def test_a_reply_that_the_superlink_refuses_in_silence_is_noticed(schema: Schema) -> None:
    conversation = Conversation(schema, Lie({"ttl_plus": 60.0}))
    with pytest.raises(ReplyRefused, match=conversation.message_id):
        conversation.push()


@pytest.mark.parametrize(
    ("schema", "method"),
    [
        (schema, method)
        for schema in SCHEMAS
        for method in ("PushMessages", "PushObject")
        if (schema.layout, method) != (Layout.INLINE, "PushObject")
    ],
    ids=lambda value: value.releases if isinstance(value, Schema) else value,
)
def test_a_repeated_push_is_not_taken_for_refused(schema: Schema, method: str) -> None:
    conversation = Conversation(schema)
    conversation.lose_an_answer(method)
    conversation.push()
    assert conversation.superlink.reply_to(conversation.message_id) == TRAINED


def test_a_push_is_not_refused_if_only_the_last_answer_was_lost() -> None:
    """The SuperLink has all then, and asks for nothing."""
    conversation = Conversation(SCHEMAS[-1])
    conversation.push()
    conversation.push()
    assert conversation.superlink.reply_to(conversation.message_id) == TRAINED


def test_a_superlink_with_a_database_may_call_a_repeated_reply_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So until 1.32: it asks for the objects nevertheless."""
    conversation = Conversation(SCHEMAS[2])
    conversation.lose_an_answer("PushMessages")
    push_messages = conversation.node.push_messages

    def refused(reply: Reply, layout: Layout) -> PushAnswer:
        answer = push_messages(reply, layout)
        return PushAnswer(answer.wanted, answer.session_id, refused=True)

    monkeypatch.setattr(conversation.node, "push_messages", refused)
    conversation.push()
    assert conversation.superlink.reply_to(conversation.message_id) == TRAINED


@pytest.mark.parametrize("schema", [SCHEMAS[0], SCHEMAS[-1]], ids=lambda schema: schema.releases)
def test_a_refusal_is_noticed_though_the_first_answer_was_lost(schema: Schema) -> None:
    """From 1.19 to 1.32 it cannot be told from a repeated reply at a SuperLink with a database."""
    conversation = Conversation(schema, Lie({"ttl_plus": 60.0}))
    conversation.lose_an_answer("PushMessages")
    with pytest.raises(ReplyRefused):
        conversation.push()


@pytest.mark.parametrize("schema", [SCHEMAS[-1]], ids=lambda schema: schema.releases)
@pytest.mark.parametrize("place", [1, 2, 3], ids=["the first", "the second", "the third"])
def test_a_refusal_is_noticed_though_the_push_of_an_object_failed_before(
    monkeypatch: pytest.MonkeyPatch, schema: Schema, place: int
) -> None:
    """The reply's own object comes last: until then the SuperLink cannot have it."""
    conversation = Conversation(schema)
    push_object, pushes = conversation.node.push_object, itertools.count(1)

    def lost(run_id: int, session_id: str, object_id: str, content: bytes) -> None:
        if next(pushes) == place:
            raise Unreachable("The SuperLink did not answer PushObject.")
        push_object(run_id, session_id, object_id, content)

    def late(*_: object) -> None:
        raise NotStored("The SuperLink waited for too long.")

    monkeypatch.setattr(conversation.node, "push_object", lost)
    with pytest.raises(Unreachable):
        conversation.push()
    monkeypatch.setattr(conversation.node, "push_object", late)
    nothing = PushAnswer(frozenset(), "", refused=False)
    monkeypatch.setattr(conversation.node, "push_messages", lambda *_: nothing)
    with pytest.raises(ReplyRefused):
        conversation.push()


TREES = [schema for schema in SCHEMAS if schema.layout == Layout.TREE]


@pytest.mark.parametrize("answers", [False, True], ids=["the call", "its answer"])
@pytest.mark.parametrize("schema", TREES, ids=lambda schema: schema.releases)
def test_a_reply_that_the_serverapp_has_already_gets_its_objects_though_a_call_was_lost(
    schema: Schema, answers: bool
) -> None:
    conversation = Conversation(schema)
    superlink = conversation.superlink
    superlink.be_unreachable(1, "PushObject", answers=answers)
    with pytest.raises(Unreachable):
        conversation.push()
    superlink.hand_out_reply(conversation.message_id)
    conversation.push()
    assert superlink.reply_to(conversation.message_id) == TRAINED


@pytest.mark.parametrize("schema", TREES, ids=lambda schema: schema.releases)
def test_a_reply_that_the_serverapp_has_already_gets_its_objects_from_a_successor(
    schema: Schema,
) -> None:
    conversation = Conversation(schema)
    superlink = conversation.superlink
    superlink.be_unreachable(1, "PushObject")
    with pytest.raises(Unreachable):
        conversation.push()
    superlink.hand_out_reply(conversation.message_id)
    next(conversation.successors)()
    assert superlink.reply_to(conversation.message_id) == TRAINED
    with pytest.raises(ReplyRefused):
        next(conversation.successors)()
