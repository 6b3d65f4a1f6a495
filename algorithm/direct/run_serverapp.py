"""Runs a Flower ServerApp without a SuperLink. A script for Flower's own interpreter, Python 3.9+.

    python run_serverapp.py FD

It imports nothing of the bridge but `frames.py`. FD is one end of a socket pair, over which pass
frames. To this script come

    S  first: JSON with `names` ("module:name" of what is used of Flower, by role), `run_id`,
       `task_id`, `run_config` (what overrides the app's), `fab_id`, `fab_version`, `fab_hash` and
       `max_message_bytes`; followed by
    F  the app (FAB)
    N  JSON: the ids of the nodes that are online; once before the ServerApp starts, and whenever
       they change
    I  the id of a message, followed by
    M  its reply (an encoded Message; without an id, if it has none yet): one for each message

and go

    R  first: the run (an encoded Run)
    C  the content of messages to come (a field of an encoded Message)
    B  a message for a node (an encoded Message without its content): it has the latest content
    M  a message for a node that has no content
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
import importlib.util
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

# Replies are read from the pipe in such pieces; what is larger is read at once.
_READ_BYTES = 1 << 16


def _load_frames() -> Any:
    """Load what both scripts have in common; an app's own `frames` is another module."""
    path = Path(__file__).with_name("frames.py")
    spec = importlib.util.spec_from_file_location("_flower_v6_frames", path)
    assert spec is not None  # noqa: S101 - it is a path
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


frames = _load_frames()


def main() -> int:
    """Run the ServerApp; returns the exit code."""
    pipe = socket.socket(fileno=int(sys.argv[1]))
    file: Any = pipe.makefile("rb", _READ_BYTES)
    start = json.loads(frames.receive_one(file, b"S").rest())
    fab = frames.receive_one(file, b"F").rest()
    flower = SimpleNamespace(**{role: _resolve(name) for role, name in start["names"].items()})
    run = flower.ProtoRun(
        run_id=start["run_id"],
        fab_id=start["fab_id"],
        fab_version=start["fab_version"],
        fab_hash=start["fab_hash"],
        override_config=flower.user_config_to_proto(start["run_config"]),
    )
    frames.send(pipe, b"R", [run.SerializeToString()])
    mailbox = _Mailbox(flower, pipe, file, start["max_message_bytes"])
    try:
        _run(flower, flower.run_from_proto(run), start["task_id"], fab, mailbox)
    except Exception as error:
        logging.getLogger("flwr").error("ServerApp raised an exception", exc_info=error)
        reason = f"ServerApp failed with exception: {error}"
        frames.send(pipe, b"E", [json.dumps(reason).encode()])
        return 1
    frames.send(pipe, b"D", [])
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

    def __init__(self, flower: Any, pipe: socket.socket, file: BinaryIO, limit: int) -> None:
        self.nodes: list[int] = json.loads(frames.receive_one(file, b"N").rest())
        self.unanswered: set[str] = set()
        self.changed = threading.Condition()
        self._flower = flower
        self._pipe = pipe
        self._file = file
        self._limit = limit
        self._sending = threading.Lock()
        self._content_id = ""
        # Messages; a text says why a reply could not be read.
        self._replies: dict[str, Any] = {}
        self._closed = False
        threading.Thread(target=self._read, name="replies", daemon=True).start()

    def send(self, message: Any) -> None:
        """Send a message, to which there will be a reply.

        Raises
        ------
        ValueError
            If it is too large.
        """
        head = frames.encoded_head(self._flower, message)
        has_content = message.has_content()
        with self._sending:
            if has_content:
                self._send_content(message, len(head))
            with self.changed:
                self.unanswered.add(message.metadata.message_id)
            frames.send(self._pipe, b"B" if has_content else b"M", [head])

    def _send_content(self, message: Any, head: int) -> None:
        """Send what a message says, unless the one before said the same: often all do."""
        content_id = message.content.object_id
        if content_id == self._content_id:
            return
        pieces = frames.content_field(frames.encoded_content(self._flower, message))
        frames.check_size(head + frames.size_of(pieces), self._limit, "message")
        frames.send(self._pipe, b"C", pieces)
        self._content_id = content_id

    def take(self, message_ids: Iterable[str]) -> list[tuple[str, Any]]:
        """Return the replies that are there, in the order of the ids; nobody else gets them."""
        with self.changed:
            found = [each for each in message_ids if each in self._replies]
            self.unanswered.difference_update(found)
            return [(each, self._replies.pop(each)) for each in found]

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
                frame = frames.receive(self._file)
                if frame.kind == b"N":
                    self.nodes = json.loads(frame.rest())
                    continue
                message_id = frame.rest().decode()
                reply = self._decoded(frames.receive_one(self._file, b"M"))
                with self.changed:
                    self._replies[message_id] = reply
                    self.changed.notify_all()
        except (EOFError, OSError):
            pass
        finally:  # whatever ended it: nobody shall wait for what no longer comes
            with self.changed:
                self._closed = True
                self.changed.notify_all()

    def _decoded(self, frame: Any) -> Any:
        """Return a reply; a text if it cannot be read, because a station may send anything."""
        try:
            return frames.decoded(self._flower, frame)
        except (EOFError, OSError):
            raise
        except Exception as error:
            frame.skip()
            return f"The reply cannot be read: {error}"


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
            # Often all say the same: it is hashed once.
            with flower.no_object_id_recompute():
                return [self._push(message) for message in messages]

        def _push(self, message: Any) -> str | None:
            metadata = message.metadata
            metadata.__dict__["_run_id"] = self._run.run_id
            metadata.__dict__["_src_node_id"] = flower.SUPERLINK_NODE_ID
            metadata.__dict__["_message_id"] = message.object_id
            if metadata.ttl <= 0:
                raise ValueError(f"Invalid message: {message}")
            if metadata.dst_node_id not in self._mailbox.nodes:
                return None
            self._mailbox.send(message)
            return str(metadata.message_id)

        def pull_messages(self, message_ids: Iterable[str]) -> list[Any]:
            """Return the replies that are there, each once."""
            wanted = list(message_ids)
            unknown = [each for each in wanted if each not in self._mailbox.unanswered]
            replies = [self._with_id(*each) for each in self._mailbox.take(wanted)]
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

        def _with_id(self, message_id: str, reply: Any) -> Any:
            """Return the reply to a message; one that came without an id gets its own."""
            if isinstance(reply, str):
                return self._error(message_id, flower.ErrorCode.REPLY_MESSAGE_UNAVAILABLE, reply)
            if not reply.metadata.message_id:
                with flower.no_object_id_recompute():
                    reply.metadata.__dict__["_message_id"] = reply.object_id
            return reply

        def _unavailable(self, message_id: str) -> Any:
            """Return what a SuperLink says of a message that it does not, or no longer, know."""
            return self._error(
                message_id,
                flower.ErrorCode.MESSAGE_UNAVAILABLE,
                f"There is no message {message_id}, or it was answered before.",
            )

        def _error(self, message_id: str, code: int, reason: str) -> Any:
            reply = flower.ProtoMessage()
            reply.metadata.run_id = self._run.run_id
            reply.metadata.src_node_id = flower.SUPERLINK_NODE_ID
            reply.metadata.dst_node_id = flower.SUPERLINK_NODE_ID
            reply.metadata.reply_to_message_id = message_id
            reply.metadata.message_type = "system"
            reply.metadata.created_at = time.time()
            reply.error.code = code
            reply.error.reason = reason
            return self._with_id(message_id, flower.message_from_proto(reply))

    return DirectGrid


def _installed(flower: Any, fab: bytes) -> Path:
    """Install the app, without a word of it on standard output; returns its folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        return Path(flower.install_from_fab(fab, None, True))


def _resolve(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main())
