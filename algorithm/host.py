"""Partial function: keeps one SuperNode warm for a whole job, and answers what couriers bring.

It lives until it is told to end (SIGTERM), the job is over, or nothing came for `idle_limit`
seconds. The SuperNode is started at once, so that it is ready when the first message comes. One
that failed a message is replaced, and what its ClientApp kept in its state is lost then.
"""

import logging
import os
import signal
import threading
import time

from algorithm.flower import Flower
from algorithm.job import Job, Message
from algorithm.job_end import when_job_ends
from algorithm.node_config import node_config
from algorithm.policy import Policy
from algorithm.station import answer
from algorithm.supernode import SuperNode
from proxy.carriers import payload
from proxy.carriers.container import Container
from proxy.carriers.payload import Payload

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_SPARE_LOOK_SECONDS = 0.5


def main(container: Container, task: Payload) -> None:
    """Be the job's host at this station.

    `task.fields["kwargs"]` holds `node_id` (int), `node_config` (str) and `idle_limit` (seconds).
    If there is a host already, because vantage6 started this one twice, wait to take its place.
    """
    arguments = task.fields["kwargs"]
    job, policy = Job(container.temporary_folder), Policy.from_environment(os.environ)
    warm = _WarmSuperNode(job, node_config(arguments["node_config"], container))
    host = _Host(job, warm, policy, arguments["idle_limit"])
    when_job_ends(container, host.end)
    while not host.ended(_SPARE_LOOK_SECONDS):
        with job.hosting() as alone:
            if alone:
                host.serve(arguments["node_id"])
    payload.write(container.output_file, {"served": host.served})


class _Host:
    """Serves until it ends."""

    def __init__(self, job: Job, warm: "_WarmSuperNode", policy: Policy, idle_limit: float) -> None:
        self.served = 0
        self._job = job
        self._warm = warm
        self._policy = policy
        self._idle_limit = idle_limit
        self._last = time.monotonic()
        self._busy = False
        self._end = threading.Event()

    def end(self) -> None:
        """End soon; from another thread."""
        self._end.set()
        if self._busy:
            os.kill(os.getpid(), signal.SIGTERM)  # nobody wants the answer any more

    def ended(self, timeout: float) -> bool:
        """Whether it is time to end; waits a little for that."""
        if time.monotonic() - self._last > self._idle_limit:
            log.info("nothing came for %.0f s: the host ends", self._idle_limit)
            self._end.set()
        return self._end.wait(timeout)

    def serve(self, node_id: int) -> None:
        """Answer messages until it ends."""
        try:
            self._warm.get(node_id)
            while not self.ended(_POLL_SECONDS):
                for message in self._job.waiting():
                    self._busy = True
                    if not self._end.is_set():  # `end` may have looked just before
                        self._answer(message)
                    self._busy = False
        finally:
            self._warm.stop()

    def _answer(self, message: Message) -> None:
        if not answer(self._job, message, self._warm.get, self._policy):
            log.warning("the SuperNode is replaced; the ClientApp's state is lost")
            self._warm.replace()
        self.served += 1
        self._last = time.monotonic()


class _WarmSuperNode:
    """The SuperNode that is kept, made anew when it has to be."""

    def __init__(self, job: Job, config: str) -> None:
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
                self._flower,
                node_id,
                self._config,
                self._job.folder,
                self._job.supernode_log,
                warm=True,
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
