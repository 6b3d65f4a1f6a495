"""A stack in which a container runs; as a command, it stays like that until it is killed."""

import signal
from pathlib import Path

from integration_tests.harness import wait_until
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.stack import Stack, running_stack

PROBE = Path(__file__).with_name("probe")


def keep_busy(stack: Stack) -> None:
    """Start a node, and a task there that does not end."""
    node = stack.plain.nodes[0]
    node.start()
    researcher = Researcher(stack.plain)
    task = researcher.create(stack.build(PROBE, "probe"), "hold", node.organization.id)
    folder = node.session_folder(researcher.session)
    wait_until((folder / f"holding-{task}").exists, "its container runs")


if __name__ == "__main__":
    with running_stack() as running:
        keep_busy(running)
        print(running.session, running.folder, flush=True)
        signal.pause()
