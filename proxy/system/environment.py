"""Which environment variables Flower's processes get: all but what is the bridge's own business.

An app may read its environment, and so may whatever it runs. The bridge's own variables, among them
a user's password, and what a vantage6 node tells a container are not for it: a ClientApp is told of
its databases by the node config. Sources of the latter: vantage6 4.15,
`vantage6/node/docker/task_manager.py`; 5.0.3, `ContainerEnvNames` in `vantage6/common/globals.py`.
"""

from collections.abc import Mapping

_OURS = "FLOWER_V6_"
# Has a user's password; not even our own functions get it.
PASSWORD_VARIABLE = "FLOWER_V6_PASSWORD"  # noqa: S105
# A container of vantage6, or a function that the bridge starts as one, has this.
_CONTAINER = "INPUT_FILE"
_ASKED_FOR = "USER_REQUESTED_DATABASE_LABELS"
_OF_CONTAINERS = frozenset(
    {_CONTAINER, "OUTPUT_FILE", "TEMPORARY_FOLDER", "RUN_CONTEXT_FILE", "DB_LABELS", _ASKED_FOR}
)
# A container of vantage6 5 has this, and all of these.
_ACTION = "FUNCTION_ACTION"
_OF_SESSIONS = frozenset(
    {
        *(_ACTION, "ALGORITHM_METHOD", "SESSION_FOLDER", "SESSION_FILE"),
        *("USER_REQUESTED_DATAFRAMES", "DATABASE_URI", "DATABASE_TYPE"),
        *("TASK_ID", "NODE_ID", "ORGANIZATION_ID", "COLLABORATION_ID", "HOST", "PORT", "API_PATH"),
    }
)
# There, of the one database that is extracted.
_PARAMETER = "DB_PARAM_"
# With these a container reaches the server in its own name.
_TOKENS = frozenset({"TOKEN_FILE", "CONTAINER_TOKEN"})
_OF_SERVERS = frozenset({"HOST", "PORT", "API_PATH"})


def for_functions(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that are for our own functions on this machine, too.

    They need no secret, and what a process starts with others can read for a moment.
    """
    secrets = {PASSWORD_VARIABLE, *_TOKENS}
    return {name: value for name, value in environment.items() if name not in secrets}


def for_flower(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that are for Flower's processes, too.

    Of a container's databases only the parameters (`<LABEL>_DB_PARAM_<KEY>`) of those that the
    task asked for stay: nothing else tells them.

    Parameters
    ----------
    environment : Mapping[str, str]
        All there are; a container's are decoded.
    """
    taken = set(_TOKENS)
    prefixes = [_OURS]
    if _CONTAINER in environment:
        taken |= _OF_CONTAINERS
        for name in environment:
            label = name.removesuffix("_DATABASE_URI")
            if label != name and f"{label}_DATABASE_TYPE" in environment:
                taken |= {name, f"{label}_DATABASE_TYPE"}
        unasked = _labels(environment, "DB_LABELS") - _labels(environment, _ASKED_FOR)
        prefixes += [f"{label}_DB_PARAM_" for label in unasked]
    if _ACTION in environment:
        taken |= _OF_SESSIONS
        prefixes.append(_PARAMETER)
    if not _TOKENS.isdisjoint(environment):
        taken |= _OF_SERVERS
    return {
        name: value
        for name, value in environment.items()
        if name not in taken and not name.startswith(tuple(prefixes))
    }


def _labels(environment: Mapping[str, str], name: str) -> set[str]:
    return {label.upper() for label in environment.get(name, "").split(",") if label}
