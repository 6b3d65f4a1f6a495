"""Partial function: starts a runtime for one message, and ends it.

The runtime is a SuperNode, or in direct mode the process of a ClientApp. What a ClientApp kept in
its state is lost with a SuperNode; a warm one (`host`) keeps it, and so does direct mode.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.flower.node_config import node_config
from algorithm.station.answer import answer
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy
from algorithm.station.runtime import Runtime
from algorithm.station.runtimes import runtimes
from proxy.calls import PerRoundCall
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload


def main(container: Container, task: Payload) -> None:
    """Leave the answer to the bundle in the output file.

    The task is a `PerRoundCall`.
    """
    call = PerRoundCall.read(task.fields)
    job = Job(container.job_folder(call.job))
    message = job.message(call.message_id)
    with job.working_on(message), TemporaryDirectory(dir=job.folder) as folder:
        if not message.answered():
            message.missing.unlink(missing_ok=True)  # said of an earlier bundle
            task.save_bundle(message.instruction)
            config, policy = (
                node_config(call.node_config, container),
                Policy.from_environment(os.environ),
            )
            start = runtimes(call.mode, job, config, Path(folder), warm=False)
            _answer(job, message, policy.permitting(call.mode, start), policy)
        answer_file = message.reply if message.answered() else message.missing
        payload.write_answer(container.output_file, answer_file, call.max_reply_bytes, task.linked)
        message.instruction.unlink(missing_ok=True)
        if not container.platform.loses_results:
            message.missing.unlink(missing_ok=True)


def _answer(job: Job, message: Message, start: Callable[[int], Runtime], policy: Policy) -> None:
    with ExitStack() as stack:

        def runtime(node_id: int) -> Runtime:
            started = start(node_id)
            stack.callback(started.stop)
            return started

        answer(job, message, runtime, policy)
