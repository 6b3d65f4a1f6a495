"""A real SuperNode together with the ClientProxy that it takes for its SuperLink."""

import logging
import time
import uuid
from pathlib import Path

from algorithm.flower.environment import NODE_CONFIG, Flower
from algorithm.flower.programs import CLIENTAPP, SuperExec
from algorithm.station.given_up import end_given_up
from algorithm.station.runtime import NoReply
from proxy.client import ClientProxy, Delivery, Stage
from proxy.fleet.messages import ErrorCode
from proxy.fleet.releases import check_pair, schemas_of
from proxy.transport.server import FleetServer

log = logging.getLogger(__name__)

# How often to look whether the SuperNode still runs; its answers are noticed at once.
_LOOK_SECONDS = 0.25
# And for ClientApps that it has given up.
_TIDY_SECONDS = 5.0


class SuperNode:
    """Implements `algorithm.station.runtime.Runtime` with a running SuperNode.

    Parameters
    ----------
    flower : Flower
        The environment that it is started from.
    node_id : int
        The node id that it gets from its ClientProxy.
    node_config : str
        Its `--node-config`.
    folder : Path
        Where its Flower home is made.
    log_file : Path
        Where its output is appended.
    warm : bool
        Whether its ClientApp's state is to be kept for later messages.
    """

    def __init__(
        self,
        flower: Flower,
        node_id: int,
        node_config: str,
        folder: Path,
        log_file: Path,
        warm: bool = False,
    ) -> None:
        self.node_id = node_id
        self._release = flower.release
        self._proxy = ClientProxy(node_id, uuid.uuid4().hex if warm else "")
        self._server = FleetServer(self._proxy, flower.transport)
        self._home = folder / "flwr"
        self._process = flower.start_supernode(
            self._server.address, node_config, self._home, log_file
        )
        self._superexec = SuperExec(self._process.pid, CLIENTAPP)
        log.info("started a SuperNode of flwr %s as node %d", flower.release, node_id)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.running

    def serve(self, delivery: Delivery, deadline: float) -> None:
        """Have the ClientApp answer a message; see `Runtime.serve`."""
        check_pair(schemas_of(delivery.instruction.layout), self._release)
        ends_at, tidy_at = time.monotonic() + deadline, time.monotonic() + _TIDY_SECONDS
        self._server.change(lambda now: self._proxy.offer(delivery, now))
        try:
            while not self._server.wait(
                lambda: delivery.stage == Stage.ANSWERED or delivery.failure is not None,
                timeout=min(_LOOK_SECONDS, max(0.0, ends_at - time.monotonic())),
            ):
                self._check_alive()
                if time.monotonic() >= tidy_at:
                    end_given_up(self._process.pid)
                    tidy_at = time.monotonic() + _TIDY_SECONDS
                if time.monotonic() >= ends_at:
                    raise NoReply(
                        ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
                        f"The ClientApp did not reply within the deadline of {deadline:.1f} s"
                        f" (it was {_DOING[delivery.stage]}).",
                    )
            if isinstance(delivery.failure, OSError):
                raise delivery.failure
            if delivery.failure is not None:
                raise NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, delivery.failure.message)
        finally:
            self._server.change(lambda _: self._proxy.withdraw())

    def stop(self) -> None:
        """End it with all its descendants."""
        self._process.stop()
        self._server.close()
        (self._home / NODE_CONFIG).unlink(missing_ok=True)

    def _check_alive(self) -> None:
        if not self.running:
            # Its log may tell of the data: it stays where it is, for vantage6 shows ours to others.
            log.error("the SuperNode ended; its log is %s", self._process.log)
            raise NoReply(
                ErrorCode.NODE_UNAVAILABLE,
                f"The SuperNode ended with exit code {self._process.exit_code} while it had the"
                f" message. The station's {self._process.log.name} says why.",
            )
        if self._superexec.is_missed():
            raise NoReply(
                ErrorCode.NODE_UNAVAILABLE,
                "The SuperNode's SuperExec ended: nothing starts a ClientApp for the message.",
            )


_DOING = {
    Stage.OFFERED: "not started: the SuperNode did not ask for the message",
    Stage.PULLED: "on its way into the SuperNode",
    Stage.CONFIRMED: "with the ClientApp",
    Stage.PUSHING: "on its way back",
    Stage.ANSWERED: "answered",
}
