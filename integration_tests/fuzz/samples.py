"""A sound message, its reply and its run, as the bytes in which Flower's calls carry them."""

from protos import fleet_pb2 as fleet
from proxy.fleet.messages import object_id
from proxy.transport.testing import Objects, make_message, record_dict

METADATA = fleet.Metadata(
    run_id=7,
    src_node_id=1,
    dst_node_id=5,
    ttl=60.0,
    created_at=1.7e9,
    message_type="train",
    group_id="1",
)
MESSAGE, OBJECTS = make_message(METADATA, record_dict(weights=b"weights"))
PULLED = fleet.PullMessagesResponse(
    messages_list=[MESSAGE], message_object_trees=[OBJECTS.tree]
).SerializeToString()
FAB_HASH = object_id(b"fab")
RUN = fleet.GetRunResponse(
    run=fleet.Run(run_id=7, fab_id="me/app", fab_version="1.0", fab_hash=FAB_HASH)
).SerializeToString()
FAB = fleet.GetFabResponse(fab=fleet.Fab(hash_str=FAB_HASH, content=b"fab")).SerializeToString()


def reply(content: Objects | fleet.Error) -> tuple[bytes, Objects]:
    """Return the announcement of a reply, and its objects."""
    about = fleet.Metadata(
        run_id=7, src_node_id=5, dst_node_id=1, reply_to_message_id=MESSAGE.metadata.message_id
    )
    message, objects = make_message(about, content)
    pushed = fleet.PushMessagesRequest(
        node=fleet.Node(node_id=5),
        messages_list=[message],
        message_object_trees=[objects.tree],
        clientapp_runtime_list=[1.5],
    )
    return pushed.SerializeToString(), objects


PUSHED, REPLY_OBJECTS = reply(record_dict(weights=b"trained"))
FAILED, _ = reply(fleet.Error(code=2, reason="no data"))
