"""Partial function: starts a SuperNode for one message, and ends it.

What the ClientApp kept in its state is lost with it; a warm SuperNode (`host`) keeps it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.flower import Flower
from algorithm.job import Job, Message
from algorithm.node_config import node_config
from algorithm.station import answer
from algorithm.supernode import SuperNode
from proxy.carriers import payload
from proxy.carriers.container import Container
from proxy.carriers.payload import Payload


def main(container: Container, task: Payload) -> None:
    """Leave the answer to the bundle in the output file.

    `task.fields["kwargs"]` holds `message_id` and `node_config` (str).
    """
    arguments = task.fields["kwargs"]
    job = Job(container.temporary_folder)
    message = job.message(arguments["message_id"])
    with job.working_on(message), TemporaryDirectory(dir=job.folder) as folder:
        if not message.reply.exists():
            task.save_bundle(message.instruction)
            _answer(job, message, node_config(arguments["node_config"], container), Path(folder))
            message.instruction.unlink(missing_ok=True)
        found = message.reply if message.reply.exists() else message.missing
        payload.write(container.output_file, {}, found)
        message.missing.unlink(missing_ok=True)


def _answer(job: Job, message: Message, config: str, folder: Path) -> None:
    started: list[SuperNode] = []

    def supernode(node_id: int) -> SuperNode:
        flower = Flower.from_environment()
        started.append(SuperNode(flower, node_id, config, folder, job.supernode_log))
        return started[-1]

    try:
        answer(job, message, supernode)
    finally:
        for each in started:
            each.stop()
