"""Partial function: starts a runtime for one message, and ends it.

The runtime is a SuperNode, or in direct mode the process of a ClientApp. What a ClientApp kept in
its state is lost with a SuperNode; a warm one (`host`) keeps it, and so does direct mode.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.job import Job, Message
from algorithm.modes import BRIDGE, runtimes
from algorithm.node_config import node_config
from algorithm.policy import Policy
from algorithm.runtime import Runtime
from algorithm.station import answer
from proxy.carriers import payload
from proxy.carriers.container import Container
from proxy.carriers.payload import Payload
from proxy.errors import CarrierError


def main(container: Container, task: Payload) -> None:
    """Leave the answer to the bundle in the output file.

    `task.fields["kwargs"]` holds `message_id` and `node_config` (str), `mode` (one of
    `algorithm.modes.MODES`), where results have a limit `max_reply_bytes` (int), and where vantage6
    makes no job `job` (str), its name.
    """
    arguments = task.fields["kwargs"]
    job = Job(_job_folder(container, arguments.get("job")))
    message = job.message(arguments["message_id"])
    with job.working_on(message), TemporaryDirectory(dir=job.folder) as folder:
        if not message.reply.exists():
            task.save_bundle(message.instruction)
            config = node_config(arguments["node_config"], container)
            start = runtimes(arguments.get("mode", BRIDGE), job, config, Path(folder), warm=False)
            _answer(job, message, start)
            message.instruction.unlink(missing_ok=True)
        found = message.reply if message.reply.exists() else message.missing
        payload.write_answer(container.output_file, found, arguments.get("max_reply_bytes"))
        message.missing.unlink(missing_ok=True)


def _job_folder(container: Container, name: str | None) -> Path:
    """Return the job's folder.

    A task that a user created is a job of its own, and so is its duplicate: what tells them that
    they are the same is kept where all runs of the node have their files.
    """
    if not name:
        return container.temporary_folder
    if not name.isalnum():
        raise CarrierError(f"The job name {name!r} is not valid.")
    return container.input_file.parent.parent / "flower-v6" / name


def _answer(job: Job, message: Message, start: Callable[[int], Runtime]) -> None:
    with ExitStack() as stack:

        def runtime(node_id: int) -> Runtime:
            started = start(node_id)
            stack.callback(started.stop)
            return started

        answer(job, message, runtime, Policy.from_environment(os.environ))
