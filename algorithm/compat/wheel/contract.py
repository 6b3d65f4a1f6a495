"""What the bridge relies on in a release of one era: the Fleet API's messages, and command lines.

The messages are those of `protos/fleet.proto`; which of them an era's methods carry is said here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from protos import fleet_pb2
from proxy.fleet.releases import Era, Layout, Schema
from proxy.transport.http_listener import path_of

_PACKAGE = ".flower_v6.fleet."
_JOINING = {
    "CreateNode": ("CreateNode", "DeleteNode"),
    "RegisterNode": ("RegisterNode", "ActivateNode", "DeactivateNode", "UnregisterNode"),
}
_MESSAGES = ("PullMessages", "PushMessages", "GetRun", "GetFab")
_OBJECTS = ("PullObject", "PushObject", "ConfirmMessageReceived")
# Methods whose messages have the form of another's.
_FORMS = {"Ping": "SendNodeHeartbeat"}
_MAP_ANSWERS = {
    "PullMessages": "MapPullMessagesResponse",
    "PushMessages": "MapPushMessagesResponse",
}
# What a message that came whole does not need.
_OBJECT_FIELDS = frozenset(
    {
        "PullMessagesResponse.message_object_trees",
        "PushMessagesRequest.message_object_trees",
        "PushMessagesResponse.objects_to_push",
    }
)
# Fields that the bridge uses where there are any: a statistic that SuperNodes send since 1.25, the
# tasks that a run has since 1.30, and the session that SuperLinks expect since 1.33.
_WHERE_THERE_ARE_ANY = frozenset(
    {
        "Metadata.src_task_id",
        "Metadata.dst_task_id",
        "PushMessagesRequest.clientapp_runtime_list",
        "PushMessagesResponse.session_id",
        "PushObjectRequest.session_id",
    }
)
# What every call is signed with: `proxy/transport/grpc.py`, `proxy/transport/http.py`.
_HEADERS = {
    "grpc": ("flwr-public-key-bin", "flwr-timestamp", "flwr-signature-bin"),
    "http": ("flwr-public-key", "flwr-timestamp", "flwr-signature"),
}
# How an app is submitted, in all eras: `algorithm/runs/run.py`.
_SUBMISSION = ("flwr", "run", "{app}", "{name}", "--stream", "--run-config", "{config}")


@dataclass(frozen=True)
class Contract:
    """What the bridge relies on.

    Attributes
    ----------
    methods : Mapping[str, tuple[str, str]]
        The types of request and answer of each Fleet method, in `messages`.
    messages : Mapping[str, DescriptorProto]
        The messages of `protos/fleet.proto`, by type.
    dispensable : frozenset[str]
        Fields that a release may be without, for example "Run.fab_hash".
    headers : tuple[str, ...]
        The names of the headers that sign a call.
    paths : tuple[str, ...]
        Where the methods are served; none with gRPC.
    commands : tuple[tuple[str, ...], ...]
        The command lines.
    """

    methods: Mapping[str, tuple[str, str]]
    messages: Mapping[str, DescriptorProto]
    dispensable: frozenset[str]
    headers: tuple[str, ...]
    paths: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


def contract_of(era: Era) -> Contract:
    """Return what the bridge relies on in releases of an era."""
    file = FileDescriptorProto()
    fleet_pb2.DESCRIPTOR.CopyToProto(file)
    messages = {f"{_PACKAGE}{message.name}": message for message in file.message_type}
    for message in file.message_type:
        messages |= {
            f"{_PACKAGE}{message.name}.{nested.name}": nested for nested in message.nested_type
        }
    methods = _methods(era.schema)
    return Contract(
        methods=methods,
        messages=messages,
        dispensable=_WHERE_THERE_ARE_ANY
        | (_OBJECT_FIELDS if era.schema.layout == Layout.INLINE else frozenset()),
        headers=_HEADERS[era.transport],
        paths=tuple(map(path_of, methods)) if era.transport == "http" else (),
        commands=tuple(
            filter(None, (era.superlink, era.supernode, _SUBMISSION, era.list_runs, era.register))
        ),
    )


def words(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line's program, and behind `flwr` the command: what precedes arguments."""
    return tuple(takewhile(lambda part: part[0] not in "{-", command))


def flags(command: tuple[str, ...]) -> list[str]:
    """Return the options in a command line."""
    return [part.partition("=")[0] for part in command if part.startswith("--")]


def arguments(command: tuple[str, ...]) -> int:
    """Return how many positional arguments stand between a command's name and its options."""
    behind = command[len(words(command)) :]
    return len(list(takewhile(lambda part: not part.startswith("--"), behind)))


def _methods(schema: Schema) -> dict[str, tuple[str, str]]:
    objects = () if schema.layout == Layout.INLINE else _OBJECTS
    methods = {}
    for method in (*_JOINING[schema.joining], schema.heartbeat, *_MESSAGES, *objects):
        form = _FORMS.get(method, method)
        answer = f"{form}Response"
        if schema.layout == Layout.MAP:
            answer = _MAP_ANSWERS.get(method, answer)
        methods[method] = (f"{_PACKAGE}{form}Request", _PACKAGE + answer)
    return methods
