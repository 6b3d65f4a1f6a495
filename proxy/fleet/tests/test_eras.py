"""Every era of the Fleet API goes through the same bridge: deliveries, bundles, ClientProxy.

A fake SuperLink and a fake SuperNode speak it at the two ends; only what eras have in common is
promised here, and what is particular to one of them.
"""

from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.client import ClientProxy, Delivery, Stage
from proxy.errors import CarrierError, Incompatible
from proxy.fleet.messages import Instruction, Reply
from proxy.fleet.releases import SCHEMAS, Layout, Schema, check_pair, schemas_of
from proxy.testing import (
    ClientApp,
    FakeSuperLink,
    FakeSuperNode,
    MemoryCarrier,
    Objects,
    ProxyPair,
    make_reply,
    record_dict,
)
from proxy.tests.helpers import Drained, pulled_in, pushed_in
from proxy.transport.superlink import SuperLink

MODEL = record_dict(weights=b"weights" * 20, bias=b"bias")
TRAINED = record_dict(weights=b"trained" * 20, bias=b"bias")
INLINE, MAP, CREATED, REGISTERED = SCHEMAS

era = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.releases)


def pair_of(schema: Schema, folder: Path, clientapp: ClientApp = lambda _: TRAINED) -> ProxyPair:
    return ProxyPair(MemoryCarrier(clientapp, schema=schema), folder, schema=schema)


def calls_of(pair: ProxyPair) -> list[str]:
    return [method for method, _ in pair.superlink.calls]


def supernode_of(pair: ProxyPair) -> FakeSuperNode:
    assert isinstance(pair.carrier, MemoryCarrier)
    return pair.carrier.supernodes["station-1"]


# The same in every era


@era
def test_a_supernode_answers_a_superlink_without_a_bridge_too(schema: Schema) -> None:
    superlink = FakeSuperLink(schema=schema)
    supernode = FakeSuperNode(
        lambda method, request, _: superlink.call(method, request), lambda _: TRAINED, schema
    )
    supernode.start()
    message_id = superlink.push_instruction(MODEL, supernode.node_id)
    assert supernode.work()
    assert superlink.reply_to(message_id) == TRAINED


@era
def test_the_clientapp_gets_the_message_and_the_superlink_its_reply(
    schema: Schema, tmp_path: Path
) -> None:
    got: list[Objects] = []

    def clientapp(content: Objects) -> Objects:
        got.append(content)
        return TRAINED

    pair = pair_of(schema, tmp_path, clientapp)
    assert [pair.send(MODEL), pair.send(MODEL)] == [TRAINED, TRAINED]
    assert got == [MODEL, MODEL]


@era
def test_a_reply_is_pushed_byte_for_byte(schema: Schema, tmp_path: Path) -> None:
    pair = pair_of(schema, tmp_path)
    pair.send(MODEL)
    said = [request for method, request in supernode_of(pair).calls if method == "PushMessages"]
    assert [request for method, request in pair.superlink.calls if method == "PushMessages"] == said


@era
def test_a_supernode_goes_offline_when_it_leaves(schema: Schema) -> None:
    superlink = FakeSuperLink(schema=schema)
    node = SuperLink(superlink)
    node.register()
    assert superlink.online == {node.node_id}
    node.unregister()
    assert superlink.online == set()


@era
def test_a_clientapps_own_error_arrives(schema: Schema, tmp_path: Path) -> None:
    error = fleet.Error(code=2, reason="<class 'ValueError'>:<'no data'>")
    assert pair_of(schema, tmp_path, lambda _: error).send(MODEL) == error


@era
def test_trouble_at_a_station_becomes_an_error_reply(schema: Schema, tmp_path: Path) -> None:
    class Closed(MemoryCarrier):
        def exchange(self, *_: object) -> None:
            raise CarrierError("The station is closed.")

    pair = ProxyPair(Closed(lambda _: TRAINED, schema=schema), tmp_path, schema=schema)
    assert pair.send(MODEL) == fleet.Error(code=5, reason="The station is closed.")
    assert pair.superlink.refused == []


@era
def test_the_app_is_left_out_when_the_station_holds_it(schema: Schema, tmp_path: Path) -> None:
    pair = pair_of(schema, tmp_path)
    pair.send(MODEL)
    pair.send(MODEL)
    assert [bool(record.fab_bytes) for record in pair.records] == [True, False]
    assert calls_of(pair).count("GetFab") == 1


@era
def test_a_message_is_an_object_of_the_bundle_whatever_is_in_it(
    schema: Schema, tmp_path: Path
) -> None:
    """A header is read whole, and small: what may be large is an object."""
    superlink = FakeSuperLink(schema=schema)
    sent = Drained(record_dict(weights=b"w" * 10**5), superlink)
    with Bundle(sent.write(tmp_path / "instruction")) as bundle:
        assert pulled_in(bundle) == sent.pulled
        assert bundle.header.ByteSize() < 1000


@era
def test_a_message_may_be_handed_out_again_until_it_is_the_clientapps(
    schema: Schema, tmp_path: Path
) -> None:
    taken: list[str] = []
    sent = Drained(MODEL, FakeSuperLink(schema=schema))
    bundle = Bundle(sent.write(tmp_path / "instruction"))
    delivery = Delivery(bundle, sent.fab, tmp_path / "reply", "", lambda: taken.append("taken"))
    proxy = ClientProxy(sent.metadata.dst_node_id)
    proxy.offer(delivery, now=0.0)
    supernode = FakeSuperNode(proxy.handle, lambda _: TRAINED, schema)
    supernode.start()
    assert [proxy.handle("PullMessages", b"", 0.0) for _ in range(2)] == [sent.pulled] * 2
    assert (taken, delivery.stage) == ([], Stage.PULLED)
    assert supernode.receive() is not None
    assert (taken, delivery.stage) == (["taken"], Stage.CONFIRMED)
    assert proxy.handle("PullMessages", b"", 0.0) is None


@era
def test_the_answer_to_a_reply_is_as_the_superlinks_would_be(
    schema: Schema, tmp_path: Path
) -> None:
    """All of a reply's objects are asked for, where there are any, in the era's own form."""
    superlink = FakeSuperLink(schema=schema)
    sent = Drained(MODEL, superlink)
    reply, contents = make_reply(sent.instruction, TRAINED)
    bundle = Bundle(sent.write(tmp_path / "instruction"))
    proxy = ClientProxy(sent.metadata.dst_node_id)
    proxy.offer(Delivery(bundle, sent.fab, tmp_path / "reply", "", lambda: None), now=0.0)
    station = SuperLink(FakeSuperNode(proxy.handle, lambda _: TRAINED, schema))
    wanted = station.push_messages(reply, schema.layout).wanted
    assert wanted == contents.keys()


# Inline: until 1.18


def test_a_message_that_came_whole_has_no_objects_to_fetch_or_confirm(tmp_path: Path) -> None:
    pair = pair_of(INLINE, tmp_path)
    pair.send(MODEL)
    assert not {"PullObject", "ConfirmMessageReceived", "PushObject"} & set(calls_of(pair))


def test_a_reply_that_came_whole_is_complete_with_its_announcement(tmp_path: Path) -> None:
    sent = Drained(MODEL, FakeSuperLink(schema=INLINE))
    reply, _ = make_reply(sent.instruction, TRAINED)
    delivery = Delivery(
        Bundle(sent.write(tmp_path / "instruction")), sent.fab, tmp_path / "reply", "", lambda: None
    )
    proxy = ClientProxy(sent.metadata.dst_node_id)
    proxy.offer(delivery, now=0.0)
    proxy.handle("PushMessages", reply.encoded, 1.0)
    assert delivery.stage == Stage.ANSWERED
    with Bundle(tmp_path / "reply") as bundle:
        assert pushed_in(bundle) == reply.encoded


def test_a_reply_without_an_id_needs_no_tree_and_one_with_an_id_does() -> None:
    request = fleet.PushMessagesRequest(messages_list=[fleet.Message()])
    assert Reply.decode(request.SerializeToString()).object_ids == ()


# Map: 1.19


def test_the_objects_of_a_map_are_those_of_the_tree() -> None:
    def object_ids(schema: Schema) -> set[bytes]:
        sent = Drained(MODEL, FakeSuperLink(schema=schema))
        # The messages themselves differ in when they were made.
        return set(sent.objects.values()) - {sent.objects[sent.metadata.message_id]}

    assert object_ids(MAP) == object_ids(REGISTERED)


@era
def test_a_message_shows_its_layout(schema: Schema) -> None:
    assert Drained(MODEL, FakeSuperLink(schema=schema)).instruction.layout == schema.layout


# What a SuperLink speaks


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        (INLINE, {INLINE}),
        (MAP, {MAP, CREATED}),
        (CREATED, {MAP, CREATED}),
        (REGISTERED, {REGISTERED}),
    ],
    ids=lambda value: value.releases if isinstance(value, Schema) else "",
)
def test_a_superlink_shows_what_it_speaks_when_a_supernode_joins(
    schema: Schema, shown: set[Schema]
) -> None:
    """Those that create nodes and know no Ping show the rest with their first message."""
    node = SuperLink(FakeSuperLink(schema=schema))
    node.register()
    assert set(node.spoken) == shown


@era
def test_once_known_only_the_right_heartbeat_is_sent(schema: Schema) -> None:
    superlink = FakeSuperLink(schema=schema)
    node = SuperLink(superlink)
    node.register()
    superlink.calls.clear()
    node.heartbeat()
    assert [method for method, _ in superlink.calls] == [schema.heartbeat]


def test_a_superlink_that_was_replaced_by_one_of_another_era_is_known_anew() -> None:
    superlink = FakeSuperLink(schema=INLINE)
    node = SuperLink(superlink)
    node.register()
    superlink.schema = REGISTERED
    superlink.forget_nodes()
    node.register()
    assert node.spoken == (REGISTERED,)


# Pairs


@pytest.mark.parametrize(
    ("schema", "stations"),
    [
        (INLINE, "1.15.2"),
        (MAP, "1.19.0"),
        (CREATED, "1.20.0"),
        (CREATED, "1.41.0"),
        (REGISTERED, "1.22.0"),
        (REGISTERED, "1.26.1"),
    ],
)
def test_stations_within_the_same_layout_are_let_in(schema: Schema, stations: str) -> None:
    superlink = FakeSuperLink(schema=schema)
    SuperLink(superlink, stations).register()
    assert superlink.online


@pytest.mark.parametrize(
    ("schema", "stations", "superlinks"),
    [
        (REGISTERED, "1.18.0", "1.23 and newer"),
        (REGISTERED, "1.19.0", "1.23 and newer"),
        (CREATED, "1.15.2", "1.19 or 1.20 to 1.22"),
        (INLINE, "1.41.0", "1.15 to 1.18"),
        (INLINE, "1.19.0", "1.15 to 1.18"),
    ],
)
def test_a_pair_that_cannot_work_is_refused_naming_both(
    schema: Schema, stations: str, superlinks: str
) -> None:
    node = SuperLink(FakeSuperLink(schema=schema), stations)
    with pytest.raises(Incompatible) as caught:
        node.register()
    assert f"SuperLink of Flower {superlinks}" in caught.value.message
    assert f"SuperNodes of Flower {stations}" in caught.value.message
    assert superlinks in caught.value.hint


@pytest.mark.parametrize(("layout", "stations"), [(Layout.MAP, "1.20.0"), (Layout.TREE, "1.19.0")])
def test_a_station_refuses_a_message_that_its_supernode_would_not_understand(
    layout: Layout, stations: str
) -> None:
    with pytest.raises(Incompatible, match=stations) as caught:
        check_pair(schemas_of(layout), stations)
    assert "in a station's file flower-env" in caught.value.hint


def test_a_message_without_a_hash_for_an_id_is_one_that_came_whole() -> None:
    metadata = fleet.Metadata(message_id="0d6d6c42-7a3c-4a4e-8b8e-3f4f3c4b3a2a")
    answer = fleet.PullMessagesResponse(messages_list=[fleet.Message(metadata=metadata)])
    instruction = Instruction.decode(answer.SerializeToString())
    assert instruction is not None
    assert (instruction.layout, instruction.object_ids) == (Layout.INLINE, ())
