"""What answers messages at a data station: a SuperNode, or in direct mode a ClientApp's process."""

from typing import Protocol

from proxy.client import Delivery
from proxy.errors import BridgeError


class NoReply(BridgeError):
    """A message was handed over but there will be no reply.

    Attributes
    ----------
    error_code : int
        Flower's error code for the error reply.
    """

    code = "no-reply"

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


class Runtime(Protocol):
    """Answers one message after the other, under one node id."""

    @property
    def node_id(self) -> int:
        """The node id."""
        ...

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        ...

    def serve(self, delivery: Delivery, deadline: float) -> None:
        """Have the ClientApp answer a message; the reply bundle is complete afterwards.

        Parameters
        ----------
        delivery : Delivery
            The message.
        deadline : float
            Seconds after which to give up.

        Raises
        ------
        NoReply
            If there will be no reply. The runtime must not be used any more.
        Incompatible
            If the ClientApp would not understand the message; it was not handed out.
        """
        ...

    def stop(self) -> None:
        """End it with all its descendants."""
        ...
