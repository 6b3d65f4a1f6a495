"""Stands in for Flower's Python API in the direct mode's scripts. What an app does is its message.

Messages have the form of `proxy.transport.testing`: whole, with one array in them, here a text.
"""

import importlib.abc
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from protos import fleet_pb2 as fleet
from proxy.transport.testing import inline_content, make_whole_message, record_dict

# Start a thread, as some libraries do when they are imported.
THREAD_VARIABLE = "FAKE_FLWR_THREAD"
if THREAD_VARIABLE in os.environ:
    threading.Thread(target=time.sleep, args=(600.0,), daemon=True).start()

ProtoMessage = fleet.Message
ProtoRun = fleet.Run
Node = NodeInfo = fleet.Node
ErrorCode = IntEnum(
    "ErrorCode",
    {
        "LOAD_CLIENT_APP_EXCEPTION": 1,
        "CLIENT_APP_RAISED_EXCEPTION": 2,
        "MESSAGE_UNAVAILABLE": 3,
        "REPLY_MESSAGE_UNAVAILABLE": 4,
    },
)
RecordDict = SimpleNamespace
SUPERLINK_NODE_ID = 1
no_object_id_recompute = nullcontext


class LoadClientAppError(Exception):
    """An app cannot be loaded."""


class _Missing(importlib.abc.Loader):
    """Loads a module that cannot be loaded."""

    def exec_module(self, module: ModuleType) -> None:
        """Raise ImportError."""
        raise ImportError(module.__name__)


@dataclass
class Error:
    """What a message reports instead of content."""

    code: int
    reason: str


class Metadata:
    """Of a message; Flower's own code sets what has an underscore here."""

    def __init__(self, proto: fleet.Metadata) -> None:
        self._run_id = proto.run_id
        self._message_id = proto.message_id
        self._src_node_id = proto.src_node_id
        self.dst_node_id = proto.dst_node_id
        self.reply_to_message_id = proto.reply_to_message_id
        self.dst_task_id = None
        self.ttl = proto.ttl
        self.created_at = proto.created_at or time.time()

    run_id = property(lambda self: self._run_id)
    message_id = property(lambda self: self._message_id)
    src_node_id = property(lambda self: self._src_node_id)


class Message:
    """A message: a text, or an error."""

    metadata: Metadata

    def __init__(
        self,
        content: str | Error,
        dst_node_id: int = 0,
        *,
        reply_to: "Message | None" = None,
        metadata: fleet.Metadata | None = None,
    ) -> None:
        self.content = content
        if reply_to is not None:
            metadata = fleet.Metadata(
                run_id=reply_to.metadata.run_id,
                reply_to_message_id=reply_to.metadata.message_id,
                src_node_id=reply_to.metadata.dst_node_id,
            )
        self.metadata = Metadata(metadata or fleet.Metadata(dst_node_id=dst_node_id, ttl=60.0))

    def has_content(self) -> bool:
        """Whether it is made of records: never."""
        return False

    def has_error(self) -> bool:
        """Whether it is encoded as one piece: always."""
        return True

    @property
    def object_id(self) -> str:
        """What it is called by its content."""
        return f"{self.content} at {self.metadata.dst_node_id}"


class RemoteGrid:
    """What is of the Grid in all releases: `flwr/superlink/grid/http_grid.py`, flwr 1.42."""

    _run: Any
    _runtime_client: Any
    _try_push_messages: Callable[[int, list[Message]], list[str]]

    def set_run(self, run: Any) -> None:
        """Say which run it is."""
        self._run = run

    @property
    def run(self) -> Any:
        """A copy of the run."""
        return copy(self._run)

    def get_node_ids(self) -> list[int]:
        """Return the ids of the nodes."""
        return [node.node_id for node in self._runtime_client.GetNodes(None).nodes]

    def push_messages(self, messages: list[Message]) -> list[str]:
        """Give the messages ids, and push them."""
        for message in messages:
            about = message.metadata
            about._run_id, about._src_node_id = self._run.run_id, SUPERLINK_NODE_ID
            about._message_id = message.object_id
        return self._try_push_messages(self._run.run_id, messages)


def validate_message(message: Message, is_reply_message: bool) -> list[str]:
    """Return what is wrong with a message."""
    return [] if message.metadata.ttl > 0 and not is_reply_message else ["`metadata.ttl`"]


def text_of(message: fleet.Message) -> str:
    """Return what an encoded message says."""
    chunk = next(iter(inline_content(message).contents.values()))
    return chunk.partition(b"\0")[2].decode()


def message_from_proto(message: fleet.Message) -> Message:
    """Decode a message."""
    if message.HasField("error"):
        error = Error(message.error.code, message.error.reason)
        return Message(error, metadata=message.metadata)
    return Message(text_of(message), metadata=message.metadata)


def message_to_proto(message: Message) -> fleet.Message:
    """Encode a message."""
    said = message.content
    if isinstance(said, Error):
        content: Any = fleet.Error(code=said.code, reason=said.reason)
    else:
        content = record_dict(text=said.encode())
    about = message.metadata
    metadata = fleet.Metadata(
        run_id=about.run_id,
        message_id=about.message_id,
        src_node_id=about.src_node_id,
        dst_node_id=about.dst_node_id,
        reply_to_message_id=about.reply_to_message_id,
        ttl=about.ttl,
        created_at=about.created_at,
    )
    return make_whole_message(metadata, content)


@dataclass
class Context:
    """What an app keeps: a number."""

    run_id: int
    node_id: int
    node_config: dict[str, Any]
    state: Any
    run_config: dict[str, Any]
    count: int = 0


class ProtoContext:
    """An encoded Context."""

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    FromString = classmethod(lambda cls, encoded: cls(encoded))

    def SerializeToString(self, deterministic: bool) -> bytes:  # noqa: N802 - as in protobuf
        """Return the bytes."""
        return self.encoded


def context_from_proto(encoded: ProtoContext) -> Context:
    """Decode a Context."""
    return Context(0, 0, {}, None, {}, int(encoded.encoded))


def context_to_proto(context: Context) -> ProtoContext:
    """Encode a Context."""
    return ProtoContext(str(context.count).encode())


def run_from_proto(run: fleet.Run) -> fleet.Run:
    """Return the run."""
    return run


def parse_config_args(config: list[str]) -> dict[str, Any]:
    """Return key-value pairs, all as text."""
    return dict(pair.split("=") for pair in config[0].split())


def install_from_fab(fab: bytes, where: None, skip_prompt: bool) -> Path:
    """Put an app where it is found."""
    app = Path(os.environ["FLWR_HOME"]) / "app"
    app.mkdir(parents=True, exist_ok=True)
    (app / "fab").write_bytes(fab)
    return app


def get_fused_config_from_dir(app: Path, overrides: Any) -> dict[str, Any]:
    """Return the run config."""
    return {}


def get_load_client_app_fn(**_: Any) -> Callable[[str, str, str], Any]:
    """Return what loads an app."""
    return lambda *_: clientapp


def disturb(how: str) -> None:
    """Do to the ClientApp's process what few apps do."""
    match how:
        case "lazy":  # as an optional library is imported that is not there
            spec = importlib.util.spec_from_loader("absent", _Missing())
            assert spec is not None
            sys.modules["absent"] = module = importlib.util.module_from_spec(spec)
            importlib.util.LazyLoader(_Missing()).exec_module(module)
        case "environ":
            os.environ.clear()
            sys.modules.pop("colorsys", None)
            __import__("colorsys")
        case "fork":
            os.fork()


def clientapp(message: Message, context: Context) -> Message:
    """Do what the message says."""
    context.count += 1
    match str(message.content).split():
        case ["count"]:
            answer = str(context.count)
        case ["keep"]:
            context.count -= 1
            answer = str(context.count)
        case ["config"]:
            answer = str(context.node_config)
        case ["pid"]:
            answer = str(os.getpid())
        case ["repeat", text, times]:
            answer = text * int(times)
        case ["import", module]:
            known = module in sys.modules
            __import__(module)
            answer = f"{known} {os.environ.get('IMPORTED')}"
            os.environ["IMPORTED"] = module
        case ["disturb", how]:
            disturb(how)
            answer = how
        case ["answer", text]:
            return Message(text, dst_node_id=1)  # no reply, but a message of its own
        case ["raise", text]:
            raise ValueError(text)
        case ["exit", code]:
            sys.exit(int(code))
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["hang", path]:
            Path(path).write_text(str(os.getpid()))
            time.sleep(600)
    return Message(answer, reply_to=message)


NAMES = {
    role: f"algorithm.tests.fake_flwr:{role}"
    for role in (
        *("Context", "Error", "ErrorCode", "LoadClientAppError", "Message", "ProtoContext"),
        *("ProtoMessage", "ProtoRun", "RecordDict"),
        *("context_from_proto", "context_to_proto", "get_fused_config_from_dir"),
        *("get_load_client_app_fn", "install_from_fab", "message_from_proto"),
        *("message_to_proto", "parse_config_args", "run_from_proto"),
    )
}
