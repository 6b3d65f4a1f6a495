"""What differs between the platforms that functions run on: one table, and who is on which row.

Nothing else in the bridge asks which platform it is on. What is the same on all is no column:
databases are reached by URIs in the environment, a failed function's output is delivered, and
`TEMPORARY_FOLDER` is shared by the functions of a job at a station.

Sources: the packages of vantage6 4.15.2, `vantage6-node` (`vantage6/node/`) and `vantage6-server`
(`vantage6/server/`). A file is named where the fact is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.system.process import GRACE_SECONDS


@dataclass(frozen=True)
class Creator:
    """What a creator of tasks is allowed, and what its tasks have in common.

    Attributes
    ----------
    sees_nodes : bool
        Whether it may ask which nodes are online.
    kills_tasks : bool
        Whether it may end a task.
    shares_folder : bool
        Whether its tasks are one job, so that at a station they share a temporary folder.
    """

    sees_nodes: bool
    kills_tasks: bool
    shares_folder: bool


@dataclass(frozen=True)
class Platform:
    """A place where functions run.

    Attributes
    ----------
    variable : str
        The environment variable by which a function knows the platform; empty: none is there.
    user : Creator
        A user who creates tasks from outside.
    central : Creator | None
        A central function that creates tasks; None where it has no token to do so.
    partial_has_token : bool
        Whether a partial function has a token, and so can ask whether its job is over.
    encodes_environment : bool
        Whether also variables that are not in the contract are encoded as those are.
    station_owns_config : bool
        Whether the station chooses the node config: a central may say the partition only.
    kill_seconds : float
        The time that a function has to end when it is killed, in seconds.
    """

    variable: str
    user: Creator
    central: Creator | None
    partial_has_token: bool
    encodes_environment: bool
    station_owns_config: bool
    kill_seconds: float


# Stations are processes of the bridge (`proxy/carriers/local.py`), and belong to its user.
LOCAL = Platform(
    variable="",
    user=Creator(sees_nodes=True, kills_tasks=True, shares_folder=True),
    central=None,
    partial_has_token=False,
    encodes_environment=False,
    station_owns_config=False,
    # A function that runs Flower has Flower's grace to pass on, and some work of its own.
    kill_seconds=GRACE_SECONDS + 2.0,
)
VANTAGE6_4 = Platform(
    # node/docker/task_manager.py, `_setup_environment_vars`: every container has a token.
    variable="TOKEN_FILE",
    # server/resource/node.py and event.py: users may; a user's task begins a job (task.py).
    user=Creator(sees_nodes=True, kills_tasks=True, shares_folder=False),
    # There, too: containers may not; a container's task joins its job.
    central=Creator(sees_nodes=False, kills_tasks=False, shares_folder=True),
    partial_has_token=True,
    # task_manager.py, `_encode_environment_variables`: the owner's `algorithm_env`, too.
    encodes_environment=True,
    # The bridge's own rule: whoever runs the central is a stranger to the station's owner.
    station_owns_config=True,
    # task_manager.py, `cleanup`: the container is removed by force.
    kill_seconds=0.0,
)
# vantage6 5 becomes a row here. In 5.0.3 (node/k8s/container_manager.py) a function knows it by
# FUNCTION_ACTION, and only a central one has a token. What becomes a column then: the variable with
# the shared folder (SESSION_FOLDER), where the token is (CONTAINER_TOKEN), the exit code of a
# function that failed (0: else its output may be lost).
PLATFORMS = (VANTAGE6_4,)


def platform_of(environment: Mapping[str, str]) -> Platform:
    """Return the platform that a function with this environment runs on."""
    return next((each for each in PLATFORMS if each.variable in environment), LOCAL)
