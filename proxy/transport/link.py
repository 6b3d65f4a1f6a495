"""What a virtual SuperNode needs of whoever has its messages.

`SuperLink` calls a real SuperLink, `proxy.central.link_state` does without one.
"""

from typing import Protocol

from proxy.fleet.messages import Instruction, PushAnswer, Reply
from proxy.fleet.releases import Layout

# Flower's own default; a node is taken for offline after twice this time without one.
HEARTBEAT_INTERVAL_SECONDS = 30.0


class Link(Protocol):
    """One SuperNode's side of a SuperLink; see `proxy.transport.superlink` for what each call does.

    Attributes
    ----------
    node_id : int
        The node id that the SuperNode got; 0 until then.
    """

    node_id: int

    @property
    def long_polls(self) -> bool:
        """Whether `pull_messages` waits a while for a message."""
        ...

    def register(self) -> None:
        """Become a SuperNode that is online; sets `node_id`."""
        ...

    def unregister(self) -> None:
        """Stop being one."""
        ...

    def heartbeat(self) -> None:
        """Stay online."""
        ...

    def pull_messages(self) -> Instruction | None:
        """Return the next message; None if there is none."""
        ...

    def get_run(self, run_id: int) -> bytes:
        """Return the answer to GetRun."""
        ...

    def get_fab(self, run_id: int, fab_hash: str) -> bytes:
        """Return the answer to GetFab."""
        ...

    def pull_object(self, run_id: int, object_id: str) -> bytes | None:
        """Return an object's content; None if it has yet to come."""
        ...

    def confirm_message_received(self, run_id: int, message_id: str) -> None:
        """Let a message's objects be forgotten."""
        ...

    def push_messages(self, reply: Reply, layout: Layout) -> PushAnswer:
        """Announce a reply."""
        ...

    def push_object(self, run_id: int, session_id: str, object_id: str, content: bytes) -> None:
        """Store an object of an announced reply."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
