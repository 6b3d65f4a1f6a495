"""Runs a Flower ServerApp without a SuperLink. A script for Flower's own interpreter, Python 3.9+.

    python run_serverapp.py FD

It imports nothing of the bridge, and so repeats what the other script has, too. FD is one end of a
socket pair, over which pass frames: a letter, a length (8 bytes, big-endian), and so many bytes. To
this script come

    S  first: JSON with `names` ("module:name" of what is used of Flower, by role), `run_id`,
       `task_id`, `run_config` (what overrides the app's), `fab_id`, `fab_version` and `fab_hash`;
       followed by
    F  the app (FAB)
    N  JSON: the ids of the nodes that are online; once before the ServerApp starts, and whenever
       they change
    M  a reply (an encoded Message; without an id, if it has none yet): one for each message

and go

    R  first: the run (an encoded Run)
    M  a message for a node (an encoded Message)
    E  JSON: why the ServerApp failed
    D  at the end, if it did not: nothing

Source: flwr 1.20, `flwr/server/serverapp/app.py` and `flwr/server/grid/grpc_grid.py`; flwr 1.42,
`flwr/superlink/runtime/run_serverapp.py` and `flwr/superlink/grid/http_grid.py`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The bridge's modules are not for apps.
    sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import contextlib
import dataclasses
import importlib
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# How the field `Message.content` begins (flwr/proto/message.proto: number 2).
_CONTENT = b"\x12"


def main() -> int:
    """Run the ServerApp; returns the exit code."""
    pipe = socket.socket(fileno=int(sys.argv[1]))
    start, fab = json.loads(_receive(pipe, b"S")), _receive(pipe, b"F")
    flower = SimpleNamespace(**{role: _resolve(name) for role, name in start["names"].items()})
    run = flower.ProtoRun(
        run_id=start["run_id"],
        fab_id=start["fab_id"],
        fab_version=start["fab_version"],
        fab_hash=start["fab_hash"],
        override_config=flower.user_config_to_proto(start["run_config"]),
    )
    _send(pipe, b"R", run.SerializeToString())
    mailbox = _Mailbox(flower, pipe)
    try:
        _run(flower, flower.run_from_proto(run), start["task_id"], fab, mailbox)
    except Exception as error:
        logging.getLogger("flwr").error("ServerApp raised an exception", exc_info=error)
        _send(pipe, b"E", json.dumps(f"ServerApp failed with exception: {error}").encode())
        return 1
    _send(pipe, b"D", b"")
    return 0


def _run(flower: Any, run: Any, task_id: int, fab: bytes, mailbox: _Mailbox) -> None:
    app = _installed(flower, fab)
    if hasattr(flower, "TaskIdentity"):
        flower.TaskIdentity.run_id = run.run_id
        flower.TaskIdentity.node_id = flower.SUPERLINK_NODE_ID
        flower.TaskIdentity.task_id = task_id
    grid = _grid_class(flower)(mailbox)
    grid.set_run(run)
    flower.run_serverapp(
        grid=grid,
        context=flower.Context(
            run_id=run.run_id,
            node_id=flower.SUPERLINK_NODE_ID,
            node_config={},
            state=flower.RecordDict(),
            run_config=flower.get_fused_config_from_dir(app, run.override_config),
        ),
        server_app_dir=str(app),
        server_app_attr=flower.get_project_config(app)["tool"]["flwr"]["app"]["components"][
            "serverapp"
        ],
    )


class _Mailbox:
    """What came through the pipe and was not asked for yet. For several threads."""

    def __init__(self, flower: Any, pipe: socket.socket) -> None:
        self.nodes: list[int] = json.loads(_receive(pipe, b"N"))
        self.unanswered: set[str] = set()
        self.changed = threading.Condition()
        self._flower = flower
        self._pipe = pipe
        self._sending = threading.Lock()
        self._replies: dict[str, Any] = {}
        self._closed = False
        threading.Thread(target=self._read, name="replies", daemon=True).start()

    def send(self, message_id: str, encoded: bytes) -> None:
        """Send a message, to which there will be a reply."""
        with self.changed:
            self.unanswered.add(message_id)
        with self._sending:
            _send(self._pipe, b"M", encoded)

    def take(self, message_ids: Iterable[str]) -> list[Any]:
        """Return the replies that are there, in the order of the ids; nobody else gets them."""
        with self.changed:
            found = [each for each in message_ids if each in self._replies]
            self.unanswered.difference_update(found)
            return [self._replies.pop(each) for each in found]

    def wait(self, message_ids: Collection[str], until: float | None) -> None:
        """Wait until there is a reply to one of some messages, or `until` (time.monotonic)."""
        with self.changed:
            while not any(each in self._replies for each in message_ids):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return
                if self._closed:
                    raise ConnectionError("the bridge has ended")
                self.changed.wait(left)

    def _read(self) -> None:
        try:
            while True:
                kind, data = _receive_any(self._pipe)
                if kind == b"N":
                    self.nodes = json.loads(data)
                    continue
                reply = self._flower.ProtoMessage.FromString(data)
                with self.changed:
                    self._replies[reply.metadata.reply_to_message_id] = reply
                    self.changed.notify_all()
        except (EOFError, OSError):
            pass
        finally:  # whatever ended it: nobody shall wait for what no longer comes
            with self.changed:
                self._closed = True
                self.changed.notify_all()


def _grid_class(flower: Any) -> Any:
    """Make the Grid: a subclass of Flower's own."""

    class DirectGrid(flower.Grid):  # type: ignore[misc]
        """Sends messages through the pipe, and gets their replies from the mailbox."""

        def __init__(self, mailbox: _Mailbox) -> None:
            self._mailbox = mailbox
            self._run: Any = None

        def set_run(self, run: Any) -> None:
            """Say which run it is: a Run of Flower."""
            self._run = run

        @property
        def run(self) -> Any:
            """The run."""
            return dataclasses.replace(self._run)

        def create_message(
            self,
            content: Any,
            message_type: str,
            dst_node_id: int,
            group_id: str,
            ttl: float | None = None,
        ) -> Any:
            """Make a message, as older apps do."""
            return flower.Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

        def get_node_ids(self) -> list[int]:
            """Return the ids of the nodes that are online."""
            return list(self._mailbox.nodes)

        def push_messages(self, messages: Iterable[Any]) -> list[str | None]:
            """Send messages; returns their ids, None for a node that is not there."""
            # Often all say the same: it is hashed and encoded once.
            contents: dict[str, bytes] = {}
            with flower.no_object_id_recompute():
                return [self._push(message, contents) for message in messages]

        def _push(self, message: Any, contents: dict[str, bytes]) -> str | None:
            metadata = message.metadata
            metadata.__dict__["_run_id"] = self._run.run_id
            metadata.__dict__["_src_node_id"] = flower.SUPERLINK_NODE_ID
            metadata.__dict__["_message_id"] = message.object_id
            if metadata.ttl <= 0:
                raise ValueError(f"Invalid message: {message}")
            if metadata.dst_node_id not in self._mailbox.nodes:
                return None
            said = message.content.object_id if message.has_content() else ""
            if said not in contents:
                contents[said] = _encoded_content(flower, message)
            self._mailbox.send(metadata.message_id, _encoded(flower, message, contents[said]))
            return str(metadata.message_id)

        def pull_messages(self, message_ids: Iterable[str]) -> list[Any]:
            """Return the replies that are there, each once."""
            wanted = list(message_ids)
            unknown = [each for each in wanted if each not in self._mailbox.unanswered]
            replies = [self._inflated(each) for each in self._mailbox.take(wanted)]
            return replies + [self._unavailable(each) for each in unknown]

        def send_and_receive(
            self, messages: Iterable[Any], *, timeout: float | None = None
        ) -> list[Any]:
            """Send messages, wait for their replies, and return those that came in time."""
            until = None if timeout is None else time.monotonic() + timeout
            asked = [each for each in self.push_messages(messages) if each is not None]
            replies: dict[str, Any] = {}
            waiting = set(asked)
            while waiting and (until is None or time.monotonic() < until):
                self._mailbox.wait(waiting, until)
                for reply in self.pull_messages(waiting):
                    replies[reply.metadata.reply_to_message_id] = reply
                waiting.difference_update(replies)
            # In the order of the messages, so that sums of floats do not depend on who was first.
            return [replies[each] for each in asked if each in replies]

        def close(self) -> None:
            """Do nothing: the pipe is not the Grid's."""

        @staticmethod
        def _inflated(encoded: Any) -> Any:
            reply = flower.message_from_proto(encoded)
            if not reply.metadata.message_id:
                with flower.no_object_id_recompute():
                    reply.metadata.__dict__["_message_id"] = reply.object_id
            return reply

        def _unavailable(self, message_id: str) -> Any:
            """Return what a SuperLink says of a message that it does not, or no longer, know."""
            reply = flower.ProtoMessage()
            reply.metadata.run_id = self._run.run_id
            reply.metadata.src_node_id = flower.SUPERLINK_NODE_ID
            reply.metadata.dst_node_id = flower.SUPERLINK_NODE_ID
            reply.metadata.reply_to_message_id = message_id
            reply.metadata.message_type = "system"
            reply.metadata.created_at = time.time()
            reply.error.code = flower.ErrorCode.MESSAGE_UNAVAILABLE
            reply.error.reason = f"There is no message {message_id}, or it was answered before."
            return self._inflated(reply)

    return DirectGrid


def _encoded(flower: Any, message: Any, content: bytes) -> bytes:
    """Encode a message as Flower's `message_to_proto` does; `content` is what it says, encoded."""
    if not message.has_content():
        return bytes(flower.message_to_proto(message).SerializeToString())
    proto = flower.message_to_proto(flower.remove_content_from_message(message))
    return bytes(proto.SerializeToString()) + _CONTENT + _varint(len(content)) + content


def _encoded_content(flower: Any, message: Any) -> bytes:
    """Encode what a message says as `message_to_proto` does, which copies each array five times."""
    if not message.has_content():
        return b""
    proto = flower.recorddict_to_proto(flower.RecordDict())
    for key, record in message.content.items():
        item = proto.items.add(key=key)
        if isinstance(record, flower.ArrayRecord):
            item.array_record.SetInParent()
            for name, array in record.items():
                item.array_record.items.add(key=name).value.CopyFrom(flower.array_to_proto(array))
        else:
            item.CopyFrom(flower.recorddict_to_proto(flower.RecordDict({key: record})).items[0])
    return bytes(proto.SerializeToString())


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _installed(flower: Any, fab: bytes) -> Path:
    """Install the app, without a word of it on standard output; returns its folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        return Path(flower.install_from_fab(fab, None, True))


def _resolve(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _receive(pipe: socket.socket, kind: bytes) -> bytes:
    """Return what is in the next frame, which is to be of a kind."""
    found, data = _receive_any(pipe)
    if found != kind:
        raise ValueError(f"frame {found!r} came instead of {kind!r}")
    return data


def _receive_any(pipe: socket.socket) -> tuple[bytes, bytes]:
    return _exactly(pipe, 1), _exactly(pipe, int.from_bytes(_exactly(pipe, 8), "big"))


def _exactly(pipe: socket.socket, length: int) -> bytes:
    data = memoryview(bytearray(length))
    filled = 0
    while filled < length:
        received = pipe.recv_into(data[filled:])
        if not received:
            raise EOFError("the bridge closed the pipe")
        filled += received
    return bytes(data)


def _send(pipe: socket.socket, kind: bytes, data: bytes) -> None:
    pipe.sendall(kind + len(data).to_bytes(8, "big"))
    pipe.sendall(data)


if __name__ == "__main__":
    sys.exit(main())
