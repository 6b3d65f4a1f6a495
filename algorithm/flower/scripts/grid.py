"""A ServerApp's Grid without a SuperLink: Flower's own, but for its calls to that.

It is a part of `run_serverapp.py`, which loads it by its path: Python 3.9+, and it imports nothing
of the bridge. `flower` is what that script resolves of Flower, `mailbox` its `_Mailbox`.

Source: flwr 1.20, `flwr/server/grid/grpc_grid.py` and
`flwr/server/superlink/serverappio/serverappio_servicer.py`; flwr 1.42 and 1.43.0.dev20261026,
`flwr/superlink/grid/http_grid.py` and `flwr/superlink/servicer/runtime/runtime_handlers.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from google.protobuf.json_format import ParseDict


def grid_class(flower: Any) -> Any:
    """Make the Grid: a subclass of the one that talks to a SuperLink."""

    class DirectGrid(flower.RemoteGrid):  # type: ignore[misc]
        """Sends messages through the pipe, and gets their replies from the mailbox."""

        def __init__(self, run: Any, mailbox: Any, superlink: SuperLink) -> None:
            # Not Flower's own, which wants to know where the SuperLink is.
            self.node = flower.Node(node_id=flower.SUPERLINK_NODE_ID)
            self._run = run
            self._mailbox = mailbox
            self._superlink = superlink
            # Where Flower's looks whether there is a connection to close.
            self._client = self._channel = None
            # Messages of the ServerApp to itself.
            self._own: list[Any] = []

        @property
        def _runtime_client(self) -> SuperLink:
            return self._superlink

        # Until 1.34.
        _stub = _runtime_client

        def _try_push_messages(self, run_id: int, messages: Iterable[Any]) -> list[str]:
            """Send messages; returns their ids, an empty one for a message that is refused."""
            messages = list(messages)
            if not messages:
                raise ValueError("Malformed PushMessages: `messages_list` must not be empty")
            for message in messages:
                errors = flower.validate_message(message, is_reply_message=False)
                if run_id != message.metadata.run_id:
                    errors.append("`Message.metadata` has mismatched `run_id`")
                if errors:
                    raise ValueError(f"Malformed PushMessages: {', '.join(errors)}")
            return [self._push(message) for message in messages]

        def _push(self, message: Any) -> str:
            metadata = message.metadata
            message_id = str(metadata.message_id)
            if metadata.dst_node_id == flower.SUPERLINK_NODE_ID:
                proto = flower.message_to_proto(message)
                self._own.append(flower.message_from_proto(proto))
                return message_id
            if not self._is_known(metadata.dst_node_id):
                return ""
            self._mailbox.send(message)
            return message_id

        def _is_known(self, node_id: int) -> bool:
            """Whether a message for a node is taken."""
            return bool(self._mailbox.has_node(node_id))

        def pull_messages(self, message_ids: Iterable[str]) -> list[Any]:
            """Return the replies that are there, each once."""
            replies, expired, unknown = self._mailbox.take(_texts(message_ids))
            return [
                *map(self._with_id, replies),
                *map(self._unavailable, (*expired, *unknown)),
                *self._pulled_own(),
            ]

        def _pulled_own(self) -> list[Any]:
            messages, self._own = self._own, []
            return list(map(self._with_id, messages))

        def send_and_receive(
            self, messages: Iterable[Any], *, timeout: float | None = None
        ) -> list[Any]:
            """Send messages, wait for their replies, and return those that came in time."""
            until = None if timeout is None else time.monotonic() + timeout
            pushed = list(self._replied(self.push_messages(messages)))
            replies: list[Any] = []
            waiting = set(pushed)
            in_time = until is None or time.monotonic() < until
            while in_time:
                pulled = self.pull_messages(waiting)
                replies += pulled
                waiting.difference_update(reply.metadata.reply_to_message_id for reply in pulled)
                in_time = bool(waiting) and self._mailbox.wait(waiting, until)
            # In the order of the messages, so that sums of floats do not depend on who was first.
            places = {message_id: place for place, message_id in enumerate(pushed)}
            return sorted(
                replies,
                key=lambda reply: places.get(reply.metadata.reply_to_message_id, len(places)),
            )

        @staticmethod
        def _replied(message_ids: Iterable[str]) -> Iterable[str]:
            """Return of which pushed messages there will be a reply: of a refused one, too."""
            return message_ids

        @staticmethod
        def _with_id(reply: Any) -> Any:
            """Return a reply; one that came without an id gets its own."""
            if not reply.metadata.message_id:
                with flower.no_object_id_recompute():
                    reply.metadata.__dict__["_message_id"] = reply.object_id
            return reply

        def _unavailable(self, message_id: str) -> Any:
            """Return a SuperLink's answer for a message that it does not, or no longer, know."""
            reason = f"There is no message {message_id}, or it has expired or was answered before."
            code = flower.ErrorCode.MESSAGE_UNAVAILABLE
            # Until 1.37 it did not say of which run.
            run_id = self._run.run_id if hasattr(flower, "TaskIdentity") else 0
            return self._with_id(error_reply(flower, run_id, message_id, code, reason))

    class InboxGrid(DirectGrid):
        """The same from 1.43 on: any message is taken, and replies are in an inbox.

        Of a message that nobody will answer a SuperLink says nothing, and whoever waits for its
        reply does so for ever. Here an error comes.
        """

        def __init__(self, run: Any, mailbox: Any, superlink: SuperLink) -> None:
            super().__init__(run, mailbox, superlink)
            self._pushed: set[str] = set()

        def _try_push_messages(
            self,
            run_id: int,  # noqa: ARG002 - the messages are of this run
            messages: Iterable[Any],
        ) -> list[str]:
            return [
                "" if flower.validate_message_metadata(message.metadata) else self._push(message)
                for message in messages
            ]

        def _is_known(self, node_id: int) -> bool:  # noqa: ARG002 - whichever it is
            return True

        def _push(self, message: Any) -> str:
            message_id = str(message.metadata.message_id)
            if message_id not in self._pushed:
                super()._push(message)
                self._pushed.add(message_id)
            return message_id

        def pull_messages(  # type: ignore[override]
            self,
            reply_to_message_ids: Iterable[str] | None = None,
            *,
            message_ids: Iterable[str] | None = None,
        ) -> list[Any]:
            """Return the replies that are there, each once; by default all."""
            if message_ids is not None:
                if reply_to_message_ids is not None:
                    raise TypeError("Specify only one of `reply_to_message_ids` and `message_ids`.")
                flower.warn_deprecated_feature(
                    "`message_ids` is deprecated. Use `reply_to_message_ids` instead."
                )
                reply_to_message_ids = message_ids
            wanted = None if reply_to_message_ids is None else _texts(reply_to_message_ids)
            replies, expired, _ = self._mailbox.take(wanted)
            pulled = [
                *map(self._with_id, replies),
                *map(self._unavailable, expired),
                *(self._pulled_own() if wanted is None or "" in wanted else ()),
            ]
            return sorted(
                pulled,
                key=lambda message: (message.metadata.created_at, message.metadata.message_id),
            )

        @staticmethod
        def _replied(message_ids: Iterable[str]) -> Iterable[str]:
            return filter(None, message_ids)

    return InboxGrid if hasattr(flower, "validate_message_metadata") else DirectGrid


class SuperLink:
    """Answers what a Grid asks a SuperLink, apart from messages."""

    def __init__(self, flower: Any, mailbox: Any, run: Any) -> None:
        self._flower = flower
        self._mailbox = mailbox
        self._run = run

    def GetRun(self, request: Any) -> Any:  # noqa: N802 - as in Flower
        """Return the run, if it is this one; asked until 1.27."""
        response = self._flower.GetRunResponse()
        if request.run_id == self._run.run_id:
            response.run.CopyFrom(self._run)
        return response

    def GetNodes(self, request: Any) -> Any:  # noqa: ARG002, N802 - as in Flower
        """Return the nodes that are online."""
        online = [node for node in self._mailbox.nodes() if node["status"] == "online"]
        about = self._flower.NodeInfo
        nodes = [ParseDict(node, about(), ignore_unknown_fields=True) for node in online]
        return SimpleNamespace(nodes=nodes)


def _texts(message_ids: Iterable[str]) -> list[str]:
    """Return ids as protobuf takes them: None for none, but nothing that is no text."""
    ids = list(message_ids or ())
    for message_id in ids:
        if not isinstance(message_id, str):
            raise TypeError(f"a message id is a str, not {type(message_id).__name__}")
    return ids


def error_reply(flower: Any, run_id: int, message_id: str, code: int, reason: str) -> Any:
    """Make a SuperLink's own answer to a message: an error in place of its reply."""
    reply = flower.ProtoMessage()
    reply.metadata.run_id = run_id
    reply.metadata.src_node_id = flower.SUPERLINK_NODE_ID
    reply.metadata.dst_node_id = flower.SUPERLINK_NODE_ID
    reply.metadata.reply_to_message_id = message_id
    reply.metadata.message_type = "system"
    reply.metadata.created_at = time.time()
    reply.error.code = code
    reply.error.reason = reason
    return flower.message_from_proto(reply)
