"""The fakes do what the real ones do: without a bridge between them, too."""

from collections.abc import Mapping

import pytest

from protos import fleet_pb2 as fleet
from proxy.errors import FleetError, RunNotRunning, UnknownNode, Unreachable
from proxy.fleet.messages import Instruction, Reply, object_id
from proxy.fleet.releases import Layout
from proxy.testing import (
    FakeSuperLink,
    FakeSuperNode,
    Objects,
    make_object,
    make_reply,
    record_dict,
)
from proxy.transport.superlink import SuperLink

MODEL = record_dict(weights=b"weights")
TRAINED = record_dict(weights=b"trained")


@pytest.fixture
def superlink() -> FakeSuperLink:
    return FakeSuperLink()


@pytest.fixture
def node(superlink: FakeSuperLink) -> SuperLink:
    """A SuperNode's connection."""
    node = SuperLink(superlink)
    node.register()
    return node


def pulled(node: SuperLink) -> Instruction:
    instruction = node.pull_messages()
    assert instruction is not None
    return instruction


def push(node: SuperLink, reply: Reply, contents: Mapping[str, bytes]) -> None:
    answer = node.push_messages(reply, Layout.TREE)
    for each in answer.wanted:
        node.push_object(reply.metadata.run_id, answer.session_id, each, contents[each])


# Objects


def test_an_object_is_made_as_flower_makes_it() -> None:
    chunk = make_object("ArrayChunk", b"data")
    assert chunk.contents[chunk.tree.object_id] == b"ArrayChunk  4\0data"
    parent = make_object("Array", b"{}", chunk, chunk)
    head = f"Array {chunk.tree.object_id} 2\0".encode()
    assert parent.contents[parent.tree.object_id] == head + b"{}"
    assert all(object_id(content) == each for each, content in parent.contents.items())


# A FakeSuperNode at a FakeSuperLink: native Flower


def test_a_supernode_answers_the_messages_of_a_superlink(superlink: FakeSuperLink) -> None:
    def clientapp(content: Objects) -> Objects:
        assert content == MODEL
        return TRAINED

    supernode = FakeSuperNode(lambda method, request, _: superlink.call(method, request), clientapp)
    supernode.start()
    assert superlink.online == {supernode.node_id}
    assert not supernode.work()
    message_ids = [superlink.push_instruction(MODEL, supernode.node_id) for _ in range(2)]
    assert supernode.work()
    assert supernode.work()
    assert not supernode.work()
    assert [superlink.reply_to(each) for each in message_ids] == [TRAINED, TRAINED]


def test_a_supernode_drops_a_message_whose_run_has_ended(superlink: FakeSuperLink) -> None:
    def clientapp(_: Objects) -> Objects:
        superlink.end_run(superlink.run_id)
        return TRAINED

    supernode = FakeSuperNode(lambda method, request, _: superlink.call(method, request), clientapp)
    supernode.start()
    superlink.push_instruction(MODEL, supernode.node_id)
    assert not supernode.work()
    assert superlink.replies == {}


# What a SuperLink does


def test_a_message_is_handed_out_once_and_to_its_node_only(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    other = SuperLink(superlink)
    other.register()
    message_id = superlink.push_instruction(MODEL, node.node_id)
    assert other.pull_messages() is None
    assert pulled(node).message_id == message_id
    assert node.pull_messages() is None


def test_an_expired_message_is_not_handed_out(superlink: FakeSuperLink, node: SuperLink) -> None:
    superlink.push_instruction(MODEL, node.node_id, ttl=0.0)
    assert node.pull_messages() is None


def test_a_messages_objects_are_gone_when_it_is_confirmed(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    superlink.push_instruction(MODEL, node.node_id)
    first = pulled(node)
    assert node.pull_object(superlink.run_id, first.object_ids[0])
    node.confirm_message_received(superlink.run_id, first.message_id)
    with pytest.raises(FleetError):
        node.pull_object(superlink.run_id, first.object_ids[0])


def test_an_object_that_another_message_needs_stays(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    superlink.push_instruction(MODEL, node.node_id)
    superlink.push_instruction(MODEL, node.node_id)
    first, second = pulled(node), pulled(node)
    node.confirm_message_received(superlink.run_id, first.message_id)
    assert node.pull_object(superlink.run_id, second.object_ids[0])


def test_a_withheld_object_is_known_but_not_available(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    superlink.push_instruction(MODEL, node.node_id)
    wanted = pulled(node).object_ids[0]
    superlink.withheld.add(wanted)
    assert node.pull_object(superlink.run_id, wanted) is None


def test_an_identical_reply_is_taken_twice_and_another_one_is_not(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    message_id = superlink.push_instruction(MODEL, node.node_id)
    instruction = pulled(node)
    reply, contents = make_reply(instruction, TRAINED)
    push(node, reply, contents)
    push(node, reply, contents)
    other, other_contents = make_reply(instruction, fleet.Error(code=2))
    push(node, other, other_contents)
    assert superlink.reply_to(message_id) == TRAINED
    assert superlink.refused == [other]


@pytest.mark.parametrize("field", ["run_id", "src_node_id", "reply_to_message_id", "ttl"])
def test_a_reply_that_does_not_fit_its_message_is_refused(
    superlink: FakeSuperLink, node: SuperLink, field: str
) -> None:
    other_run = superlink.start_run(b"another app")
    superlink.push_instruction(MODEL, node.node_id)
    reply, _ = make_reply(pulled(node), TRAINED)
    request = fleet.PushMessagesRequest.FromString(reply.encoded)
    value = {"run_id": other_run, "src_node_id": 5, "reply_to_message_id": "ff", "ttl": 1e5}
    setattr(request.messages_list[0].metadata, field, value[field])
    altered = Reply.decode(request.SerializeToString())
    assert not node.push_messages(altered, Layout.TREE).wanted
    assert superlink.refused == [altered]


def test_an_object_is_stored_only_in_the_latest_session_and_if_it_is_what_its_id_says(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    message_id = superlink.push_instruction(MODEL, node.node_id)
    reply, contents = make_reply(pulled(node), TRAINED)
    old_session = node.push_messages(reply, Layout.TREE).session_id
    session = node.push_messages(reply, Layout.TREE).session_id
    first = next(iter(contents))
    for session_id, content in ((old_session, contents[first]), (session, b"altered")):
        with pytest.raises(FleetError, match="did not store"):
            node.push_object(superlink.run_id, session_id, first, content)
    with pytest.raises(KeyError):
        superlink.reply_to(message_id)


def test_calls_of_a_run_that_has_ended_are_refused(
    superlink: FakeSuperLink, node: SuperLink
) -> None:
    run_id = superlink.run_id
    superlink.push_instruction(MODEL, node.node_id)
    superlink.push_instruction(MODEL, node.node_id)
    instruction = pulled(node)
    superlink.end_run(run_id)
    with pytest.raises(RunNotRunning):
        node.get_run(run_id)
    with pytest.raises(RunNotRunning):
        node.get_fab(run_id, object_id(b"a Flower app"))
    with pytest.raises(RunNotRunning):
        node.pull_object(run_id, instruction.object_ids[0])
    with pytest.raises(RunNotRunning):
        node.confirm_message_received(run_id, instruction.message_id)
    with pytest.raises(RunNotRunning):
        node.push_messages(make_reply(instruction, TRAINED)[0], Layout.TREE)
    with pytest.raises(RunNotRunning):
        node.push_object(run_id, "session", "ff", b"")
    assert node.pull_messages() is None


def test_a_node_that_it_does_not_know_is_refused(superlink: FakeSuperLink, node: SuperLink) -> None:
    superlink.forget_nodes()
    with pytest.raises(UnknownNode):
        node.pull_messages()
    node.register()
    node.pull_messages()


def test_a_key_can_be_used_once(superlink: FakeSuperLink) -> None:
    request = fleet.RegisterNodeRequest(public_key=b"key").SerializeToString()
    answer = superlink.call("RegisterNode", request)
    node_id = fleet.RegisterNodeResponse.FromString(answer).node_id
    leave = fleet.UnregisterNodeRequest(node_id=node_id).SerializeToString()
    with pytest.raises(FleetError, match="in use"):
        superlink.call("RegisterNode", request)
    superlink.call("UnregisterNode", leave)
    with pytest.raises(FleetError, match="in use"):
        superlink.call("RegisterNode", request)


def test_a_node_can_be_activated_once_it_is_registered_and_while_it_is_offline(
    superlink: FakeSuperLink,
) -> None:
    register = fleet.RegisterNodeRequest(public_key=b"key").SerializeToString()
    activate = fleet.ActivateNodeRequest(public_key=b"key").SerializeToString()
    with pytest.raises(FleetError, match="activated"):
        superlink.call("ActivateNode", activate)
    superlink.call("RegisterNode", register)
    superlink.call("ActivateNode", activate)
    with pytest.raises(FleetError, match="activated"):
        superlink.call("ActivateNode", activate)
    superlink.online.clear()
    superlink.call("ActivateNode", activate)


@pytest.mark.parametrize("answers", [False, True])
def test_it_is_out_of_reach_as_often_as_told(
    superlink: FakeSuperLink, node: SuperLink, answers: bool
) -> None:
    superlink.online.clear()
    superlink.be_unreachable(2, "SendNodeHeartbeat", answers)
    node.pull_messages()
    for _ in range(2):
        with pytest.raises(Unreachable):
            node.heartbeat()
    assert bool(superlink.online) == answers
    node.heartbeat()
    assert superlink.online == {node.node_id}
