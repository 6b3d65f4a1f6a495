"""Runs a Flower ServerApp without a SuperLink. A script for Flower's own interpreter, Python 3.9+.

    python run_serverapp.py FD

It imports nothing of the bridge but `frames.py`, `grid.py`, `seeds.py` and `takes.py`. FD is one
end of a socket pair, over which pass frames. To this script come

    S  first: JSON with `names` ("module:name" of what is used of Flower, by role), `run_id`,
       `task_id`, `run_config` (what overrides the app's), `fab_id`, `fab_version`, `fab_hash`,
       `max_message_bytes`, `seed`, for generators of random numbers, or null, and of an earlier
       start what it took `before` and what came `late` (`takes.py`); followed by
    F  the app (FAB)
    N  JSON: nodes, each with fields of Flower's NodeInfo; all of them once before the ServerApp
       starts, then those about which something has changed
    I  the id of a message, followed by
    M  its reply (an encoded Message; without an id, if it has none yet): one for each message

and go

    R  first: the run (an encoded Run)
    C  the content of messages to come (an encoded RecordDict)
    B  a message for a node (an encoded Message, up to its content): it has the latest content
    M  a message for a node that has no content
    T  JSON: which replies the ServerApp took at once, or waited for `in_vain`, other than before,
       by the names of their messages, and how many messages it had `sent` by then
    E  JSON: why the ServerApp failed
    D  at the end, if it did not: nothing

The Grid is Flower's own, but for what it says to the SuperLink (`grid.py`).

Source: flwr 1.20, `flwr/server/serverapp/app.py`; flwr 1.42 and 1.43.0.dev20261026,
`flwr/superlink/runtime/run_serverapp.py`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The bridge's modules are not for apps.
    sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import contextlib
import importlib
import importlib.util
import io
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from google.protobuf.json_format import ParseDict

# Replies are read from the pipe in such pieces; a larger one is read at once.
_READ_BYTES = 1 << 16
# How often to look whether a reply that is there may be taken now.
_LOOK_SECONDS = 0.1
# So long threads that an app left behind have to end.
_EXIT_SECONDS = 5.0


def _load(name: str) -> Any:
    """Load a module beside this script; one of the same name in an app is another."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_flower_v6_{name}", path)
    assert spec is not None  # noqa: S101 - it is a path
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


frames = _load("frames")
grid = _load("grid")
seeds = _load("seeds")
takes = _load("takes")


def main() -> int:
    """Run the ServerApp; returns the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # as in Flower
    pipe = socket.socket(fileno=int(sys.argv[1]))
    file: Any = pipe.makefile("rb", _READ_BYTES)
    start = json.loads(frames.receive_one(file, b"S").rest())
    fab = frames.receive_one(file, b"F").rest()
    flower = SimpleNamespace(**{role: _resolve(name) for role, name in start["names"].items()})
    run = _new_run(flower, start)
    frames.send(pipe, b"R", [run.SerializeToString()])
    if start["seed"] is not None:
        seeds.seed_all(start["seed"])
    taken = takes.Takes(start["before"], start["late"])
    mailbox = _Mailbox(flower, run.run_id, pipe, file, start["max_message_bytes"], taken)
    try:
        _run(flower, run, start["task_id"], fab, mailbox)
    except Exception as error:
        logging.getLogger("flwr").error("ServerApp raised an exception", exc_info=error)
        reason = f"ServerApp failed with exception: {error}"
        frames.send(pipe, b"E", [json.dumps(reason).encode()])
        return 1
    frames.send(pipe, b"D", [])
    return 0


def _new_run(flower: Any, start: Mapping[str, Any]) -> Any:
    """Return the run (an encoded Run), with those of its fields that the release has."""
    now = datetime.now(timezone.utc).isoformat()  # noqa: UP017 - Python 3.9 has no UTC
    about = {
        "run_id": start["run_id"],
        "fab_id": start["fab_id"],
        "fab_version": start["fab_version"],
        "fab_hash": start["fab_hash"],
        "pending_at": now,
        "starting_at": now,
        "status": {"status": "starting"},
        "flwr_aid": "<id:none>",
        "account_name": "none",
        "federation": "@none/default",
        "federation_id": "@none/default",
        "primary_task_id": start["task_id"],
        "primary_task_type": "flwr-serverapp",
        "series_id": start["run_id"],
    }
    run = ParseDict(about, flower.ProtoRun(), ignore_unknown_fields=True)
    for key, value in flower.user_config_to_proto(start["run_config"]).items():
        run.override_config[key].CopyFrom(value)
    return run


def _run(flower: Any, proto: Any, task_id: int, fab: bytes, mailbox: _Mailbox) -> None:
    app, run = _installed(flower, fab), flower.run_from_proto(proto)
    if hasattr(flower, "TaskIdentity"):
        flower.TaskIdentity.run_id = run.run_id
        flower.TaskIdentity.node_id = flower.SUPERLINK_NODE_ID
        flower.TaskIdentity.task_id = task_id
    superlink = grid.SuperLink(flower, mailbox, proto)
    context = flower.Context(
        run_id=run.run_id,
        node_id=flower.SUPERLINK_NODE_ID,
        node_config={},
        state=flower.RecordDict(),
        run_config=flower.get_fused_config_from_dir(app, run.override_config),
    )
    if hasattr(context, "series_id"):  # from flwr 1.31 on
        context.series_id = run.series_id
    flower.run_serverapp(
        grid=grid.grid_class(flower)(run, mailbox, superlink),
        context=context,
        server_app_dir=str(app),
        server_app_attr=flower.get_project_config(app)["tool"]["flwr"]["app"]["components"][
            "serverapp"
        ],
    )


class _Mailbox:
    """What came through the pipe and was not asked for yet. For several threads."""

    def __init__(
        self,
        flower: Any,
        run_id: int,
        pipe: socket.socket,
        file: BinaryIO,
        limit: int,
        taken: Any,
    ) -> None:
        self.changed = threading.Condition()
        self._nodes: dict[int, dict[str, Any]] = {}
        self._hear_of_nodes(frames.receive_one(file, b"N"))
        self._flower = flower
        self._run_id = run_id
        self._pipe = pipe
        self._file = file
        self._limit = limit
        self._takes = taken
        self._sending = threading.Lock()
        self._content_id, self._content_start = "", b""
        # When the messages expire whose replies nobody has taken; in seconds since the epoch.
        self._expiry: dict[str, float] = {}
        self._replies: dict[str, Any] = {}
        self._closed = False
        threading.Thread(target=self._read, name="replies", daemon=True).start()

    def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes."""
        with self.changed:
            return list(self._nodes.values())

    def has_node(self, node_id: int) -> bool:
        """Whether there is a node."""
        return node_id in self._nodes

    def send(self, message: Any) -> None:
        """Send a message, to which there will be a reply, unless one is waited for already.

        Raises
        ------
        ValueError
            If it is too large.
        """
        about = message.metadata
        has_content = message.has_content()
        with self._sending:
            # Messages are added in here only.
            if about.message_id in self._expiry:
                return
            head = frames.encoded_head(self._flower, message)
            if has_content:
                head += self._send_content(message, len(head))
            with self.changed:
                self._expiry[about.message_id] = about.created_at + about.ttl
                self._takes.send(about.message_id, about.dst_node_id)
            frames.send(self._pipe, b"B" if has_content else b"M", [head])

    def _send_content(self, message: Any, head: int) -> bytes:
        """Send a message's content, unless the one before had the same: often all have.

        Returns the start of its field: it belongs behind the message's head.
        """
        content_id = message.content.object_id
        if content_id != self._content_id:
            start, *pieces = frames.content_field(frames.encoded_content(self._flower, message))
            frames.check_size(head + len(start) + frames.size_of(pieces), self._limit, "message")
            frames.send(self._pipe, b"C", pieces)
            self._content_id, self._content_start = content_id, start
        return self._content_start

    def take(self, message_ids: Iterable[str] | None) -> tuple[list[Any], list[str], list[str]]:
        """Return the replies that may be taken, in the order of `Takes.open`; each is given once.

        Behind them come the ids of messages that have expired, and those of which nothing is known,
        or no longer. With None for the ids, all are meant.
        """
        now = time.time()
        with self.changed:
            wanted = list(self._expiry if message_ids is None else dict.fromkeys(message_ids))
            unknown = [message_id for message_id in wanted if message_id not in self._expiry]
            expired = [
                message_id for message_id in wanted if self._expiry.get(message_id, now) < now
            ]
            for message_id in expired:
                self._replies.pop(message_id, None)
            self._takes.forget(expired)
            answered = self._open(wanted)
            sent, names = self._takes.sent, self._takes.take(answered) if answered else []
            replies = [self._replies.pop(message_id) for message_id in answered]
            for message_id in (*answered, *expired):
                del self._expiry[message_id]
        self._tell(sent, names)
        return replies, expired, unknown

    def _tell(self, sent: int, names: list[str], in_vain: bool = False) -> None:
        """Tell the bridge which replies were taken, if there are any."""
        if names:
            told = json.dumps({"sent": sent, "messages": names, "in_vain": in_vain})
            with self._sending:
                frames.send(self._pipe, b"T", [told.encode()])

    def _open(self, message_ids: Iterable[str]) -> list[str]:
        """Return the messages whose replies are there and may be taken now."""
        there = [message_id for message_id in message_ids if message_id in self._replies]
        return list(self._takes.open(there))

    def wait(self, message_ids: Collection[str], until: float | None) -> bool:
        """Wait until a reply to one of some messages may be taken; returns whether one may.

        Else `until` (time.monotonic) has passed, or did so before.
        """
        with self.changed:
            self._takes.hasten(message_ids, until)
            while not self._open(message_ids):
                seconds = float("inf") if until is None else until - time.monotonic()
                if self._takes.waits_in_vain(message_ids) or seconds <= 0:
                    sent, names = self._takes.sent, self._takes.give_up(message_ids)
                    break
                if self._closed:
                    raise ConnectionError("the bridge has ended")
                held = any(message_id in self._replies for message_id in message_ids)
                most = _LOOK_SECONDS if held else threading.TIMEOUT_MAX
                self.changed.wait(min(seconds, most))
            else:
                return True
        self._tell(sent, names, in_vain=True)
        return False

    def _read(self) -> None:
        try:
            while True:
                frame = frames.receive(self._file)
                if frame.kind == b"N":
                    self._hear_of_nodes(frame)
                    continue
                if frame.kind != b"I":
                    raise ValueError(f"frame {frame.kind!r} came instead of b'I'")
                message_id = frame.rest().decode()
                reply = self._decoded(message_id, frames.receive_one(self._file, b"M"))
                with self.changed:
                    if message_id in self._expiry:
                        self._replies[message_id] = reply
                    self.changed.notify_all()
        except (EOFError, OSError):
            pass
        finally:  # whatever ended it: nobody shall wait for what no longer comes
            with self.changed:
                self._closed = True
                self.changed.notify_all()

    def _hear_of_nodes(self, frame: Any) -> None:
        with self.changed:
            for node in json.loads(frame.rest()):
                if node["status"] == "unregistered":
                    self._nodes.pop(node["node_id"], None)
                else:
                    self._nodes[node["node_id"]] = node

    def _decoded(self, message_id: str, frame: Any) -> Any:
        """Return a reply; an error in place of one that Flower cannot read."""
        try:
            reply = frames.decoded(self._flower, frame)
            if reply.metadata.reply_to_message_id != message_id:
                raise ValueError(f"it is none to message {message_id}")
            if not (reply.has_content() or reply.has_error()):
                raise ValueError("it says nothing")
        except (EOFError, OSError):
            raise
        except Exception as error:
            frame.skip()
            code = self._flower.ErrorCode.REPLY_MESSAGE_UNAVAILABLE
            reason = f"The reply of the station cannot be read: {error}."
            return grid.error_reply(self._flower, self._run_id, message_id, code, reason)
        return reply


def _installed(flower: Any, fab: bytes) -> Path:
    """Install the app, without a word of it on standard output; returns its folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        return Path(flower.install_from_fab(fab, None, True))


def _resolve(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _exit(code: int) -> None:
    """End the process soon, whatever threads the app leaves behind, as Flower does since 1.26.

    Source: flwr 1.41, `flwr/supercore/exit/exit.py`.
    """
    forced = threading.Timer(_EXIT_SECONDS, os._exit, (code,))
    forced.daemon = True
    forced.start()
    sys.exit(code)


if __name__ == "__main__":
    _exit(main())
