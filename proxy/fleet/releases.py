"""What differs between Flower releases: one table. Nothing else in the bridge asks for a version.

A row is an era: consecutive releases that behave alike. A row says only what changed with it. A
release that changes nothing needs no edit, because the newest era is open-ended. Sources: the
programs' own `--help`, and the clients of the Fleet API (`flwr/client/grpc_rere_client/`, from
1.40 `flwr/supernode/fleet_http_client.py`) of the releases that are named.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from proxy.errors import FlowerError, Incompatible

Version = tuple[int, ...]


class Layout(StrEnum):
    """How a message's content travels. The message shows it, so nobody has to be told.

    `INLINE`: in the message. `MAP` and `TREE`: as objects, whose ids an answer names in a map from
    messages to lists of ids, or as a tree.
    """

    INLINE = "inline"
    MAP = "map"
    TREE = "tree"


@dataclass(frozen=True)
class Schema:
    """The Fleet API's methods and messages, over gRPC and HTTP alike.

    Within a layout a SuperLink and SuperNodes of different schemas understand each other through
    the bridge (tried out: 1.20 with 1.39, 1.41 with 1.20, 1.22 with 1.23 and 1.41 and the other
    way round; the SuperLink first). Across layouts they do not.

    Attributes
    ----------
    releases : str
        The releases that speak it, for people.
    joining : str
        How a SuperNode gets its node id: the SuperLink creates a node, or the SuperNode registers
        its key.
    heartbeat : str
        The method that keeps a SuperNode online.
    layout : Layout
        How what a message says travels.
    """

    releases: str
    joining: Literal["CreateNode", "RegisterNode"]
    heartbeat: Literal["Ping", "SendNodeHeartbeat"]
    layout: Layout


SCHEMAS = (
    Schema("1.15 to 1.18", "CreateNode", "Ping", Layout.INLINE),
    Schema("1.19", "CreateNode", "SendNodeHeartbeat", Layout.MAP),
    Schema("1.20 to 1.22", "CreateNode", "SendNodeHeartbeat", Layout.TREE),
    Schema("1.23 and newer", "RegisterNode", "SendNodeHeartbeat", Layout.TREE),
)
_INLINE, _MAP, _CREATED, _REGISTERED = SCHEMAS


@dataclass(frozen=True)
class Era:
    """Releases of Flower that behave alike towards the bridge.

    In commands, `{fleet}`, `{control}`, `{other}` and `{another}` stand for addresses of this
    machine, HOST:PORT, that nobody else uses; `{fleet_port}` and so on for their ports.

    Attributes
    ----------
    first : Version
        The first release of the era; it lasts until the next era's first.
    schema : Schema
        The Fleet API that it speaks.
    transport : str
        How the Fleet API is reached.
    superlink : tuple[str, ...]
        The command that starts a SuperLink with its Fleet API at `{fleet}`.
    control : str
        Where `flwr run` reaches that SuperLink.
    connections : str
        Where `flwr run` looks for that address: in the app's "pyproject.toml", or in
        "config.toml" in the Flower home.
    list_runs : tuple[str, ...]
        The command that lists the runs of that SuperLink; `{app}` stands for the app's folder,
        `{name}` for the name under which `connections` has the SuperLink.
    supernode : tuple[str, ...]
        The command that starts a SuperNode; `{superlink}` stands for the Fleet API's address,
        `{node_config}` for its config.
    register : tuple[str, ...]
        The command that lets a SuperNode with the public key in the file `{public_key}` into a
        SuperLink that authenticates SuperNodes; `{app}` and `{name}` as in `list_runs`. Empty
        where there is none.
    packages : tuple[str, ...]
        What an environment needs besides flwr, because flwr does not say so itself.
    """

    first: Version
    schema: Schema
    transport: Literal["grpc", "http"]
    superlink: tuple[str, ...]
    control: str
    connections: Literal["pyproject.toml", "config.toml"]
    list_runs: tuple[str, ...]
    supernode: tuple[str, ...]
    register: tuple[str, ...]
    packages: tuple[str, ...]


_SUPERLINK = ("flower-superlink", "--insecure")
_SUPERNODE = ("flower-supernode", "--insecure", "--superlink", "{superlink}")
_GRPC_APIS = ("--serverappio-api-address", "{other}", "--simulationio-api-address", "{another}")
_DO_NOT_INSTALL = "--disable-runtime-dependency-installation"

# 1.15.0 names the headers that sign a call in another way.
_1_15 = Era(
    first=(1, 15, 1),
    schema=_INLINE,
    transport="grpc",
    superlink=(
        *(*_SUPERLINK, "--fleet-api-address", "{fleet}", "--exec-api-address", "{control}"),
        *_GRPC_APIS,
    ),
    control="{control}",
    connections="pyproject.toml",
    list_runs=("flwr", "ls", "{app}", "{name}", "--format=json"),
    supernode=(
        *(*_SUPERNODE, "--clientappio-api-address", "{other}"),
        *("--node-config", "{node_config}"),
    ),
    register=(),
    packages=("click<8.2",),
)
_1_19 = replace(_1_15, first=(1, 19), schema=_MAP, packages=())
_1_20 = replace(_1_19, first=(1, 20), schema=_CREATED)
_1_21 = replace(
    _1_20,
    first=(1, 21),
    superlink=(
        *(*_SUPERLINK, "--fleet-api-address", "{fleet}", "--control-api-address", "{control}"),
        *_GRPC_APIS,
    ),
)
_1_23 = replace(
    _1_21,
    first=(1, 23),
    schema=_REGISTERED,
    register=("flwr", "supernode", "register", "{public_key}", "{app}", "{name}"),
)
_1_26 = replace(
    _1_23,
    first=(1, 26),
    connections="config.toml",
    list_runs=("flwr", "ls", "{name}", "--format=json"),
    register=("flwr", "supernode", "register", "{public_key}", "{name}"),
)
_1_32 = replace(_1_26, first=(1, 32), superlink=(*_1_26.superlink, _DO_NOT_INSTALL))
_1_33 = replace(
    _1_32,
    first=(1, 33),
    superlink=(
        *(*_SUPERLINK, "--fleet-api-address", "{fleet}", "--control-api-address", "{control}"),
        *("--host", "127.0.0.1", "--port", "{other_port}", _DO_NOT_INSTALL),
    ),
)
_1_35 = replace(
    _1_33,
    first=(1, 35),
    supernode=(
        *(*_SUPERNODE, "--host", "127.0.0.1", "--port", "{other_port}"),
        *("--node-config", "{node_config}"),
    ),
)
_1_37 = replace(_1_35, first=(1, 37), control="{other}")
_1_40 = replace(
    _1_37,
    first=(1, 40),
    transport="http",
    superlink=(*(*_SUPERLINK, "--host", "127.0.0.1", "--port", "{fleet_port}", _DO_NOT_INSTALL),),
    control="{fleet}",
)
ERAS = (_1_15, _1_19, _1_20, _1_21, _1_23, _1_26, _1_32, _1_33, _1_35, _1_37, _1_40)

# What the direct mode uses of Flower's Python API, "module:name" by the name that it has in
# `algorithm/flower/scripts/`. A row says only what changed with it; empty: it was not there.
_NAMES: tuple[tuple[Version, dict[str, str]], ...] = (
    (
        (1, 20),
        {
            "ArrayRecord": "flwr.common:ArrayRecord",
            "Context": "flwr.common:Context",
            "Error": "flwr.app.error:Error",
            "ErrorCode": "flwr.common.constant:ErrorCode",
            "GetRunResponse": "flwr.proto.run_pb2:GetRunResponse",
            "LoadClientAppError": "flwr.client.client_app:LoadClientAppError",
            "Message": "flwr.common:Message",
            "Node": "flwr.proto.node_pb2:Node",
            "NodeInfo": "flwr.proto.node_pb2:Node",
            "ProtoArray": "flwr.proto.recorddict_pb2:Array",
            "ProtoContext": "flwr.proto.message_pb2:Context",
            "ProtoMessage": "flwr.proto.message_pb2:Message",
            "ProtoRun": "flwr.proto.run_pb2:Run",
            "RecordDict": "flwr.common:RecordDict",
            "RemoteGrid": "flwr.server.grid.grpc_grid:GrpcGrid",
            "SUPERLINK_NODE_ID": "flwr.common.constant:SUPERLINK_NODE_ID",
            "TaskIdentity": "",
            "array_record_from_proto": "flwr.common.serde:array_record_from_proto",
            "array_to_proto": "flwr.common.serde:array_to_proto",
            "context_from_proto": "flwr.common.serde:context_from_proto",
            "context_to_proto": "flwr.common.serde:context_to_proto",
            "get_fused_config_from_dir": "flwr.common.config:get_fused_config_from_dir",
            "get_load_client_app_fn": "flwr.client.clientapp.utils:get_load_client_app_fn",
            "get_project_config": "flwr.common.config:get_project_config",
            "install_from_fab": "flwr.cli.install:install_from_fab",
            "message_from_proto": "flwr.common.serde:message_from_proto",
            "message_to_proto": "flwr.common.serde:message_to_proto",
            "no_object_id_recompute": "flwr.common.inflatable:no_object_id_recompute",
            "parse_config_args": "flwr.common.config:parse_config_args",
            "recorddict_to_proto": "flwr.common.serde:recorddict_to_proto",
            "remove_content_from_message": "flwr.common.message:remove_content_from_message",
            "run_from_proto": "flwr.common.serde:run_from_proto",
            "run_serverapp": "flwr.server.run_serverapp:run",
            "user_config_to_proto": "flwr.common.serde:user_config_to_proto",
            "validate_message": "flwr.server.utils.validator:validate_message",
        },
    ),
    (
        (1, 21),
        {
            "ArrayRecord": "flwr.app:ArrayRecord",
            "Context": "flwr.app:Context",
            "Message": "flwr.app:Message",
            "RecordDict": "flwr.app:RecordDict",
        },
    ),
    (
        (1, 23),
        {
            "LoadClientAppError": "flwr.clientapp.client_app:LoadClientAppError",
            "NodeInfo": "flwr.proto.node_pb2:NodeInfo",
            "get_load_client_app_fn": "flwr.clientapp.utils:get_load_client_app_fn",
        },
    ),
    (
        (1, 27),
        {
            "no_object_id_recompute": (
                "flwr.supercore.inflatable.inflatable_object:no_object_id_recompute"
            ),
        },
    ),
    ((1, 28), {"GetRunResponse": ""}),
    (
        (1, 31),
        {
            "RemoteGrid": "flwr.superlink.grid.grpc_grid:GrpcGrid",
            "remove_content_from_message": "flwr.app.message.message:remove_content_from_message",
        },
    ),
    ((1, 35), {"RemoteGrid": "flwr.superlink.grid.http_grid:HttpGrid"}),
    ((1, 38), {"TaskIdentity": "flwr.supercore.task_identity:TaskIdentity"}),
    (
        (1, 43),
        {
            "validate_message": "",
            "validate_message_metadata": "flwr.supercore.corestate.utils:validate_message_metadata",
            "warn_deprecated_feature": "flwr.supercore.logger:warn_deprecated_feature",
        },
    ),
)

# The newest release that `make compat` has tried out: see docs/compatibility.json.
NEWEST_TRIED: Version = (1, 42, 0)


def version_of(release: str) -> Version:
    """Return a release's numbers, to compare; none if it is no version."""
    numbers = re.match(r"\d+\.\d+(\.\d+)?", release)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def era_of(release: str) -> Era:
    """Return the era of a Flower release.

    Parameters
    ----------
    release : str
        A version as `flwr --version` says it, for example "1.41.0".

    Raises
    ------
    FlowerError
        If the release is older than all that the bridge supports, or no version.
    """
    version = version_of(release)
    for era in reversed(ERAS):
        if version >= era.first:
            return era
    oldest = ".".join(map(str, ERAS[0].first))
    raise FlowerError(
        f"Flower {release} is not supported: the bridge needs flwr {oldest} or newer.",
        f"Install a newer release into the Flower environment: pip install 'flwr>={oldest}'.",
    )


def names_of(release: str) -> dict[str, str]:
    """Return what the direct mode uses of a release's Python API: "module:name" by role.

    Raises
    ------
    FlowerError
        If the release is too old for it.
    """
    version, by_role = version_of(release), {}
    for first, names in _NAMES:
        if version >= first:
            by_role.update(names)
    if not by_role:
        oldest = ".".join(map(str, _NAMES[0][0]))
        raise FlowerError(
            f"Direct mode does not support Flower {release}: it needs flwr {oldest} or newer.",
            "Run the app in bridge mode: leave --mode out.",
        )
    return {role: name for role, name in by_role.items() if name}


def schemas_of(layout: Layout) -> tuple[Schema, ...]:
    """Return the schemas that have a layout."""
    return tuple(schema for schema in SCHEMAS if schema.layout == layout)


def check_pair(superlink: Collection[Schema], release: str) -> None:
    """Refuse a SuperLink and SuperNodes that are not compatible.

    Parameters
    ----------
    superlink : Collection[Schema]
        What the SuperLink may speak, as far as it has shown.
    release : str
        The release of Flower that the SuperNodes are of.

    Raises
    ------
    Incompatible
        If they have no layout in common.
    """
    spoken = era_of(release).schema
    if spoken.layout not in {schema.layout for schema in superlink}:
        theirs = " or ".join(schema.releases for schema in superlink)
        ours = " or ".join(schema.releases for schema in schemas_of(spoken.layout))
        raise Incompatible(
            f"A SuperLink of Flower {theirs} and SuperNodes of Flower {release} do not understand"
            " each other.",
            f"Start the SuperNodes from an environment with Flower {theirs} (--flower-env; in a"
            f" station's file flower-env), or the SuperLink from one with Flower {ours}.",
        )
