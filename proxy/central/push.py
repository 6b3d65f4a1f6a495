"""Pushing a reply into a SuperLink: the announcement, and the objects that it asks for."""

from collections.abc import Callable

from proxy.errors import ReplyRefused
from proxy.fleet.messages import PushAnswer, Reply
from proxy.fleet.releases import Layout
from proxy.transport.link import Link
from proxy.transport.transfer import push_objects


class Push:
    """One reply on its way into a SuperLink. Calling it again tries again, with the same bytes.

    A SuperLink refuses a reply in silence. It shows in what it asks for: the reply's own object is
    one that nobody else has, so as long as we did not push it, the SuperLink asks for it. If it
    does not, it did not store the reply.

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
    """

    def __init__(
        self,
        link: Link,
        reply: Reply,
        read: Callable[[str], bytes],
        layout: Layout,
        announced: bool = False,
    ) -> None:
        self._link = link
        self._reply = reply
        self._read = read
        self._layout = layout
        self._announced = announced
        self._pushed: set[str] = set()

    def __call__(self) -> None:
        """Store the reply and the objects that the SuperLink lacks of it.

        Raises
        ------
        ReplyRefused
            If the SuperLink does not take the reply.
        Unreachable
            If it does not answer; trying again may help.
        """
        repeated, self._announced = self._announced, True
        answer = self._link.push_messages(self._reply, self._layout)
        if self._is_refusal(answer, repeated):
            raise ReplyRefused(
                f"The SuperLink did not take the reply to message"
                f" {self._reply.metadata.reply_to_message_id}, and does not say why."
                " Perhaps its log does."
            )
        self._push_objects(answer)

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

    def _push_objects(self, answer: PushAnswer) -> None:
        """Push those objects that the SuperLink asks for; the reply's own comes last."""
        wanted = [needed for needed in self._reply.object_ids if needed in answer.wanted]
        run_id, session_id = self._reply.metadata.run_id, answer.session_id

        def push(object_id: str, content: bytes) -> None:
            self._pushed.add(object_id)
            self._link.push_object(run_id, session_id, object_id, content)

        push_objects(wanted, self._read, push)
