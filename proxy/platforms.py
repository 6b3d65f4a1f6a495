"""What differs between the platforms that functions run on: one table, and who is on which row.

Nothing else in the bridge asks which platform it is on. What is the same on all is no column.

Sources: the packages of vantage6 4.15.2, `vantage6-node` (`vantage6/node/`) and `vantage6-server`
(`vantage6/server/`), and of 5.0.3, `vantage6-node` and `vantage6-hq` (`vantage6/hq/`). A file is
named where the fact is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from proxy.system import GRACE_SECONDS


class Creator(NamedTuple):
    """What a creator of tasks is allowed, and what its tasks have in common.

    Attributes
    ----------
    sees_nodes : bool
        Whether it may ask which nodes are online.
    kills_tasks : bool
        Whether it may end a task.
    keeps_hosts : bool
        Whether its tasks share a folder at a station, in which a host and couriers can meet.
    names_job : bool
        Whether its tasks have to name the job that they are of: the platform makes none of them.
    tells_end : bool
        Whether it has to tell stations that the job is over: they can neither ask nor be killed.
    loses_results : bool
        Whether the result of a task may never arrive: it is lost with that of another function of
        the node that ends in the same moment.
    """

    sees_nodes: bool
    kills_tasks: bool
    keeps_hosts: bool
    names_job: bool
    tells_end: bool = False
    loses_results: bool = False


class Platform(NamedTuple):
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
    failed_exit_code : int
        The exit code of a function that failed, and has left why.
    may_be_on_sqlite : bool
        Whether what creators store may be in a database of SQLite, with its limits.
    """

    variable: str
    user: Creator
    central: Creator | None
    partial_has_token: bool
    encodes_environment: bool
    station_owns_config: bool
    kill_seconds: float
    failed_exit_code: int = 1
    may_be_on_sqlite: bool = False

    @property
    def loses_results(self) -> bool:
        """Whether no two functions of a node should end in the same moment: see `Creator`."""
        return self.user.loses_results


# Stations are processes of the bridge (`proxy/carriers/local.py`), and belong to its user.
LOCAL = Platform(
    variable="",
    user=Creator(sees_nodes=True, kills_tasks=True, keeps_hosts=True, names_job=False),
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
    user=Creator(sees_nodes=True, kills_tasks=True, keeps_hosts=False, names_job=True),
    # There, too: containers may not; a container's task joins its job.
    central=Creator(sees_nodes=False, kills_tasks=False, keeps_hosts=True, names_job=False),
    partial_has_token=True,
    # task_manager.py, `_encode_environment_variables`: the owner's `algorithm_env`, too.
    encodes_environment=True,
    # The bridge's own rule: whoever runs the central is a stranger to the station's owner.
    station_owns_config=True,
    # task_manager.py, `cleanup`: the container is removed by force.
    kill_seconds=0.0,
    # The configuration that `v6 server new` writes; 5's charts bring PostgreSQL.
    may_be_on_sqlite=True,
)
VANTAGE6_5 = Platform(
    # node/k8s/container_manager.py, `_create_volume_mounts` and what calls it.
    variable="FUNCTION_ACTION",
    # hq/resource/node.py and event.py: users may, containers may not. All tasks of a session share
    # its folder at a node, with other jobs of the session. `process_next_completed_run` in
    # container_manager.py: of the jobs that it finds ended when it looks, once a second, it sends
    # the result of the last one only.
    user=Creator(
        sees_nodes=True,
        kills_tasks=True,
        keeps_hosts=True,
        names_job=True,
        tells_end=True,
        loses_results=True,
    ),
    central=Creator(
        sees_nodes=False,
        kills_tasks=False,
        keeps_hosts=True,
        names_job=True,
        tells_end=True,
        loses_results=True,
    ),
    # hq/resource/token.py: only those that compute centrally.
    partial_has_token=False,
    # container_manager.py, `_encode_environment_variables`: the owner's `algorithm_env`, too.
    encodes_environment=True,
    station_owns_config=True,
    # container_manager.py deletes the pod, whose grace period is Kubernetes' own.
    kill_seconds=30.0,
    # container_manager.py: the output of a function that crashed is thrown away.
    failed_exit_code=0,
)
PLATFORMS = (VANTAGE6_4, VANTAGE6_5)


def platform_of(environment: Mapping[str, str]) -> Platform:
    """Return the platform that a function with this environment runs on."""
    return next((platform for platform in PLATFORMS if platform.variable in environment), LOCAL)
