"""What answers messages at a station, in each mode in which an app runs.

`bridge`: SuperLink, SuperNodes and SuperExecs run, unmodified. `direct`: none of them does; the
ServerApp and the ClientApps run by themselves (`algorithm.flower`).
"""

from collections.abc import Callable
from pathlib import Path

from algorithm.flower.environment import Flower
from algorithm.station.clientapp import ClientApp
from algorithm.station.job import Job
from algorithm.station.runtime import Runtime
from algorithm.station.supernode import SuperNode
from proxy.calls import Mode


def runtimes(
    mode: Mode, job: Job, node_config: str, folder: Path, warm: bool
) -> Callable[[int], Runtime]:
    """Return a function that starts a runtime under a node id.

    Parameters
    ----------
    mode : Mode
        The app's.
    job : Job
        The job's folder at this station.
    node_config : str
        What a SuperNode has as `--node-config`.
    folder : Path
        Where its Flower home is made.
    warm : bool
        Whether it is to answer more than one message.
    """
    flower = Flower.from_environment()
    if mode == Mode.BRIDGE:
        return lambda node_id: SuperNode(
            flower, node_id, node_config, folder, job.supernode_log, warm
        )
    return lambda node_id: ClientApp(
        flower,
        node_id,
        node_config,
        folder,
        job.contexts,
        job.clientapp_log,
        warm,
    )
