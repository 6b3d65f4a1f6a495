"""What an instruction bundle holds, checked: whoever reads it afterwards reads the same. No I/O.

`proxy.client` hands over only what was checked here, and a station's policy sees the same.
"""

from protos import fleet_pb2 as fleet
from proxy.blocks import Data
from proxy.bundle import ANNOUNCEMENT_BYTES, Bundle
from proxy.calls import LONGEST_SECONDS
from proxy.errors import BundleError, FleetError
from proxy.fleet import messages, one_reading, wire
from proxy.fleet.inline import CONTENT, MESSAGES_LIST, without_content
from proxy.fleet.one_reading import ONE_MESSAGE
from proxy.fleet.releases import Layout


def instruction_of(bundle: Bundle) -> tuple[messages.Instruction, fleet.Run]:
    """Return the message that an instruction bundle holds, and its run.

    Raises
    ------
    BundleError
        If the bundle is no instruction, does not hold all that its message names, or may be read
        in more than one way.
    """
    header = bundle.header
    if header.WhichOneof("content") != "instruction":
        raise BundleError(f"Bundle {bundle.path} is not an instruction.")
    try:
        announcement_id = header.instruction.pull_messages_object_id
        pulled: Data
        if header.instruction.whole:
            pulled = bundle.object(announcement_id)
        else:
            pulled = bundle.read(announcement_id, ANNOUNCEMENT_BYTES)
        instruction = messages.Instruction.decode(pulled, header.instruction.whole)
        run = one_reading.read(fleet.GetRunResponse, header.instruction.get_run_response).run
    except KeyError:
        raise BundleError(f"Bundle {bundle.path} lacks the message that it names.") from None
    except FleetError as error:
        raise BundleError(f"Bundle {bundle.path}: {error.message}") from error
    if instruction is None:
        raise BundleError(f"Bundle {bundle.path} holds no message.")
    for name, held, named in (
        ("message", instruction.message_id, header.message_id),
        ("run", run.run_id, instruction.metadata.run_id),
        ("node", instruction.metadata.dst_node_id, header.instruction.node_id),
    ):
        if held != named:
            raise BundleError(f"Bundle {bundle.path} names {name} {named} but holds {held}.")
    if not 0 < header.instruction.deadline_seconds <= LONGEST_SECONDS:
        raise BundleError(f"Bundle {bundle.path} has no sensible deadline.")
    if missing := [i for i in instruction.object_ids if i not in bundle.object_ids]:
        raise BundleError(
            f"Bundle {bundle.path} lacks {len(missing)} objects of its message, first {missing[0]}."
        )
    try:
        _check_one_message(bundle, instruction)
    except FleetError as error:
        raise BundleError(f"Bundle {bundle.path}: {error.message}") from error
    return instruction, run


def _check_one_message(bundle: Bundle, instruction: messages.Instruction) -> None:
    """Check that whoever reads the message reads the one that was checked."""
    match instruction.layout:
        case Layout.INLINE:
            one_reading.check(
                fleet.PullMessagesResponse,
                without_content(instruction.data),
                ONE_MESSAGE,
            )
            return
        case Layout.MAP:
            by_message = one_reading.read(
                fleet.MapPullMessagesResponse, instruction.encoded, ONE_MESSAGE
            )
            named = list(by_message.objects_to_pull)
        case Layout.TREE:
            as_trees = one_reading.read(
                fleet.PullMessagesResponse, instruction.encoded, ONE_MESSAGE
            )
            named = [tree.object_id for tree in as_trees.message_object_trees]
    for message in wire.views(instruction.encoded, MESSAGES_LIST):
        if any(wire.views(message, CONTENT)):
            raise FleetError("The message came in objects, and whole as well.")
    if named != [instruction.message_id] or instruction.message_id not in instruction.object_ids:
        raise FleetError("The objects are not those of the message.")
    # A ClientApp has the message from its object, which has no id: that is the object's hash (flwr
    # 1.19 to 1.42, `Message.deflate`). And a SuperLink with a database announces no task (flwr 1.39
    # to 1.42, `server/superlink/linkstate/utils.py`, `message_to_dict`).
    announced, inner = fleet.Metadata(), fleet.Metadata()
    announced.CopyFrom(instruction.metadata)
    announced.ClearField("message_id")
    _, _, body = bundle.read(instruction.message_id, ANNOUNCEMENT_BYTES).partition(b"\0")
    inner.CopyFrom(one_reading.read(fleet.Message, body).metadata)
    if not announced.src_task_id:
        inner.ClearField("src_task_id")
    if inner != announced:
        raise FleetError("The message's object is not the message that was announced.")


def app_of(bundle: Bundle, run: fleet.Run, response: bytes) -> fleet.Fab:
    """Return the app in an answer to GetFab.

    Raises
    ------
    BundleError
        If it is not the one that the run names by its hash, or may be read in more than one way.
    """
    try:
        fab = one_reading.read(fleet.GetFabResponse, response).fab
    except FleetError as error:
        raise BundleError(f"Bundle {bundle.path}: {error.message}") from error
    # A SuperNode refuses one that comes under another hash than its own by ending (flwr 1.41).
    for fab_hash in (messages.object_id(fab.content), fab.hash_str):
        if fab_hash != run.fab_hash:
            raise BundleError(
                f"The app (FAB) {fab_hash} is not the one that the run names, {run.fab_hash}."
            )
    return fab
