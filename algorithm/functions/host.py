"""Partial function: keeps one runtime warm for a whole job, and answers what couriers bring.

The runtime is a SuperNode, or in direct mode the process of a ClientApp. It is started at once, so
that it is ready when the first message comes. One that failed a message is replaced; with a
SuperNode, what its ClientApp kept in its state is lost then. The host lives until it is told to end
(SIGTERM), the job is over, or nothing came for `idle_limit` seconds.
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress

from algorithm.flower.node_config import node_config
from algorithm.functions.job_end import when_end_is_noted, when_job_ends
from algorithm.station.answer import Unanswered, answer, fail
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy
from algorithm.station.runtimes import runtimes
from algorithm.station.warm import Warm
from proxy.calls import HostCall
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload
from proxy.vantage6.v5.extracted import forget_those_for_one_run

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02
_SPARE_LOOK_SECONDS = 0.5
_LINGER_SECONDS = 4.0
# After a message whose answer cannot be written at all.
_FULL_DISK_PAUSE_SECONDS = 5.0


def main(container: Container, task: Payload) -> None:
    """Be the job's host at this station.

    The task is a `HostCall`.
    If there is a host already, because vantage6 started this one twice, wait to take its place.
    """
    call = HostCall.read(task.fields)
    job, policy = Job(container.job_folder(call.job)), Policy.from_environment(os.environ)
    config = node_config(call.node_config, container)
    start = runtimes(call.mode, job, config, job.folder, warm=True)
    warm = Warm(policy.permitting(call.mode, start))
    host = _Host(job, warm, policy, call)
    when_job_ends(container, host.end)
    when_end_is_noted(container, job, host.end)
    while not host.ended(_SPARE_LOOK_SECONDS):
        with job.hosting() as alone:
            if alone:
                try:
                    host.serve()
                except SystemExit:  # in the middle of a message that nobody waits for
                    if not job.over:
                        raise
                if job.over:
                    job.forget_all_but_marks()
                    forget_those_for_one_run(container.shared_folder)
    payload.write(container.output_file, {"served": host.served})
    if container.platform.loses_results:
        # Who told it that the run is over must not end in the same moment.
        time.sleep(_LINGER_SECONDS)


class _Host:
    """Serves until it ends."""

    def __init__(self, job: Job, warm: Warm, policy: Policy, call: HostCall) -> None:
        self.served = 0
        self._job = job
        self._warm = warm
        self._policy = policy
        self._call = call
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
        if time.monotonic() - self._last > self._call.idle_limit:
            log.info("no message came for %.0f s: the host ends", self._call.idle_limit)
            self._job.note_idle(self._call.host)
            self._end.set()
        if self._job.over:
            log.info("the run is over: the host ends")
            self._end.set()
        return self._end.wait(timeout)

    def serve(self) -> None:
        """Answer messages until it ends."""
        try:
            self._warm.prepare(self._call.node_id)
            while not self.ended(_POLL_SECONDS):
                for message in self._job.waiting():
                    self._busy = True
                    if not self._end.is_set():  # `end` may have looked just before
                        self._answer(message)
                    self._busy = False
        finally:
            self._warm.stop()

    def _answer(self, message: Message) -> None:
        try:
            usable = answer(self._job, message, self._warm.get, self._policy)
        except Unanswered as error:
            usable = False
            self._fail_later(message, error.message)
        if not usable:
            log.warning("the SuperNode or ClientApp process failed and is replaced")
            self._warm.replace()
        self.served += 1
        self._last = time.monotonic()

    def _fail_later(self, message: Message, reason: str) -> None:
        """Answer with a failure as soon as it can be written."""
        while not self.ended(_FULL_DISK_PAUSE_SECONDS):
            with suppress(Unanswered):
                fail(self._job, message, reason)
                return
