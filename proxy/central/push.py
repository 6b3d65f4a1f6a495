"""Pushing a reply into a SuperLink: the announcement, and the objects that it asks for."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from proxy.errors import NotStored, ReplyRefused
from proxy.fleet.messages import PushAnswer, Reply
from proxy.fleet.releases import Layout
from proxy.transport.link import Link
from proxy.transport.transfer import push_objects


class Push:
    """One reply on its way into a SuperLink. Calling it again goes on, with the same bytes.

    A SuperLink refuses a reply in silence. It shows in what it asks for: the reply's own object is
    one that nobody else has, so as long as we did not push it, the SuperLink asks for it. If it
    does not, it did not store the reply.

    An announced reply may be the ServerApp's before its objects are there, and then the SuperLink
    takes no second announcement (flwr 1.33 to 1.41, `delete_messages` in `pull_messages` of
    `superlink/servicer/runtime/runtime_handlers.py`). So objects are pushed until they have
    arrived; it is announced anew only if the SuperLink does not wait for them any more.

    Parameters
    ----------
    link : Link
        Reaches the SuperLink.
    reply : Reply
        The reply.
    read : Callable[[str], bytes]
        Returns an object of the reply.
    layout : Layout
        That of the message that the reply is for.
    announced : bool
        Whether the SuperLink may have the reply already, from an earlier process.
    giving : Callable[[], AbstractContextManager[None]]
        Held while it is announced: that decides which of several replies the ServerApp gets first.
    """

    def __init__(
        self,
        link: Link,
        reply: Reply,
        read: Callable[[str], bytes],
        layout: Layout,
        announced: bool = False,
        giving: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._link = link
        self._reply = reply
        self._read = read
        self._layout = layout
        self._announced = announced
        self._giving = giving
        self._session = ""
        # Objects that the SuperLink did not confirm yet, in their order. A call that was given up
        # may still be answered.
        self._needed: dict[str, None] = {}
        self._tried: set[str] = set()  # those that it may have since it asked
        self._pushed: set[str] = set()  # those that it may have, ever

    def __call__(self) -> None:
        """Store the reply and the objects that the SuperLink lacks of it.

        Raises
        ------
        ReplyRefused
            If the SuperLink does not take the reply.
        Unreachable
            If it does not answer; trying again may help.
        """
        if self._needed:
            try:
                if self._push_objects():
                    return
            except NotStored:  # it waited for too long
                self._needed.clear()
        repeated, self._announced = self._announced, True
        with self._giving():
            answer = self._link.push_messages(self._reply, self._layout)
        if not self._is_refusal(answer, repeated):
            self._session, self._tried = answer.session_id, set()
            self._needed = dict.fromkeys(i for i in self._reply.object_ids if i in answer.wanted)
        elif not (repeated and self._is_awaited()):
            raise ReplyRefused(
                f"The SuperLink did not take the reply to message"
                f" {self._reply.metadata.reply_to_message_id}, and does not say why."
                " Perhaps its log does."
            )
        self._push_objects()

    def _is_refusal(self, answer: PushAnswer, repeated: bool) -> bool:
        own_id = self._reply.metadata.message_id
        if not own_id:
            return answer.refused
        if own_id in answer.wanted:
            # A SuperLink that has the reply already may call that a refusal.
            return answer.refused and not repeated
        # It has the reply if that arrived, though its answer was lost. If it did not arrive, the
        # message has expired or was answered since: no other reply would be taken either.
        return own_id not in self._pushed

    def _is_awaited(self) -> bool:
        """Whether the SuperLink waits for the objects of a reply that an earlier process announced.

        It finds their session itself if none is named (flwr 1.41, `store_object` in
        `supercore/corestate/in_memory_corestate.py`). The reply's own object came last there.
        """
        if not self._reply.object_ids:
            return False
        *others, own_id = self._reply.object_ids
        try:
            self._link.push_object(self._reply.metadata.run_id, "", own_id, self._read(own_id))
        except NotStored:
            return False
        self._session, self._needed, self._tried = "", dict.fromkeys(others), set(others)
        self._pushed.add(own_id)
        return True

    def _push_objects(self) -> bool:
        """Push the needed objects, the reply's own last; returns whether all were confirmed.

        One that had arrived, though its answer was lost, is not stored again (flwr 1.41).
        """
        confirmed = True

        def push(object_id: str, content: bytes) -> None:
            nonlocal confirmed
            is_new = object_id not in self._tried
            self._tried.add(object_id)
            self._pushed.add(object_id)
            try:
                self._link.push_object(
                    self._reply.metadata.run_id, self._session, object_id, content
                )
            except NotStored:
                if is_new:
                    self._pushed.discard(object_id)
                    raise
                confirmed = False
            self._needed.pop(object_id, None)

        push_objects(tuple(self._needed), self._read, push)
        return confirmed
