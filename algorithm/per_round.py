"""Partial function: starts a SuperNode for one message, and ends it.

What the ClientApp kept in its state is lost with it; a warm SuperNode (`host`) keeps it.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.flower import Flower
from algorithm.job import Job, Message
from algorithm.node_config import node_config
from algorithm.policy import Policy
from algorithm.station import answer
from algorithm.supernode import SuperNode
from proxy.carriers import payload
from proxy.carriers.container import Container
from proxy.carriers.payload import Payload
from proxy.errors import CarrierError


def main(container: Container, task: Payload) -> None:
    """Leave the answer to the bundle in the output file.

    `task.fields["kwargs"]` holds `message_id` and `node_config` (str), where results have a limit
    `max_reply_bytes` (int), and where vantage6 makes no job `job` (str), its name.
    """
    arguments = task.fields["kwargs"]
    job = Job(_job_folder(container, arguments.get("job")))
    message = job.message(arguments["message_id"])
    with job.working_on(message), TemporaryDirectory(dir=job.folder) as folder:
        if not message.reply.exists():
            task.save_bundle(message.instruction)
            _answer(job, message, node_config(arguments["node_config"], container), Path(folder))
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
        raise CarrierError(f"{name!r} is no name of a job.")
    return container.input_file.parent.parent / "flower-v6" / name


def _answer(job: Job, message: Message, config: str, folder: Path) -> None:
    started: list[SuperNode] = []

    def supernode(node_id: int) -> SuperNode:
        flower = Flower.from_environment()
        started.append(SuperNode(flower, node_id, config, folder, job.supernode_log))
        return started[-1]

    try:
        answer(job, message, supernode, Policy.from_environment(os.environ))
    finally:
        for each in started:
            each.stop()
