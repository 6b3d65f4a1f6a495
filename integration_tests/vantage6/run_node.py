"""Run by `.venv-vantage6`: a node outside a container.

    run_node.py CONFIG

vantage6-node 4.15.2 has a command for that, `vnode-local`, but it fails: the class of its context
has no `running_in_docker`.
"""

import sys
from pathlib import Path


def main(config: str) -> None:
    """Work until stopped."""
    from vantage6.common.docker import addons  # noqa: PLC0415

    # It believes that it is in a container wherever there is a /.dockerenv. Others import this
    # function by name, so it is replaced before they do.
    addons.running_in_docker = lambda: False
    from vantage6 import node  # noqa: PLC0415
    from vantage6.cli.context.node import NodeContext  # noqa: PLC0415

    class Context(NodeContext):  # type: ignore[misc]
        running_in_docker = False

    node.run(Context(Path(config).stem, False, config))


if __name__ == "__main__":
    main(*sys.argv[1:])
