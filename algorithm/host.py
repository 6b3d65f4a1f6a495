"""Partial function: keeps one SuperNode warm for a whole job, and answers what couriers bring.

It lives until it is told to end (SIGTERM) or nothing came for `idle_limit` seconds. The SuperNode
is started at once, so that it is ready when the first message comes; one that failed a message is
replaced at the next, and what its ClientApp kept in its state is lost then.
"""

import logging
import time

from algorithm.flower import Flower
from algorithm.job import Job
from algorithm.node_config import node_config
from algorithm.station import answer
from algorithm.supernode import SuperNode
from proxy.carriers import payload
from proxy.carriers.container import Container
from proxy.carriers.payload import Payload
from proxy.errors import CarrierError

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02


def main(container: Container, task: Payload) -> None:
    """Be the job's host at this station.

    `task.fields["kwargs"]` holds `node_id` (int), `node_config` (str) and `idle_limit` (seconds).

    Raises
    ------
    CarrierError
        If the job has a host here already.
    """
    arguments = task.fields["kwargs"]
    job = Job(container.temporary_folder)
    warm = _WarmSuperNode(job, node_config(arguments["node_config"], container))
    with job.hosting() as alone:
        if not alone:
            raise CarrierError("This job has a host at this station already.")
        try:
            warm.get(arguments["node_id"])
            _serve(job, warm, arguments["idle_limit"])
        finally:
            warm.stop()
    payload.write(container.output_file, {"served": warm.served})


def _serve(job: Job, warm: "_WarmSuperNode", idle_limit: float) -> None:
    last = time.monotonic()
    while time.monotonic() - last < idle_limit:
        for message in job.waiting():
            if not answer(job, message, warm.get):
                log.warning("the SuperNode is replaced; the ClientApp's state is lost")
                warm.replace()
            warm.served += 1
            last = time.monotonic()
        time.sleep(_POLL_SECONDS)
    log.info("nothing came for %.0f s: the host ends", idle_limit)


class _WarmSuperNode:
    """The SuperNode that is kept, made anew when it has to be."""

    def __init__(self, job: Job, config: str) -> None:
        self.served = 0
        self._flower = Flower.from_environment()
        self._job = job
        self._config = config
        self._supernode: SuperNode | None = None

    def get(self, node_id: int) -> SuperNode:
        """Return the SuperNode, started if it is not there, or there under another node id."""
        current = self._supernode
        if current is not None and not (current.running and current.node_id == node_id):
            self.stop()
        if self._supernode is None:
            self._supernode = SuperNode(
                self._flower, node_id, self._config, self._job.folder, self._job.supernode_log
            )
        return self._supernode

    def replace(self) -> None:
        """Start a new SuperNode in place of one that failed."""
        if self._supernode is not None:
            node_id = self._supernode.node_id
            self.stop()
            self.get(node_id)

    def stop(self) -> None:
        """End the SuperNode."""
        if self._supernode is not None:
            self._supernode.stop()
        self._supernode = None
