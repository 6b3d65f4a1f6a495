"""What the bridge relies on in a release of vantage6: one row for each generation.

Names are vantage6's. What a function finds is read by `proxy/vantage6/`, what the server is asked
by `proxy/vantage6/` and `algorithm/researcher/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.errors import Vantage6Error
from proxy.fleet.releases import version_of


@dataclass(frozen=True)
class Contract:
    """What the bridge relies on.

    Attributes
    ----------
    first, behind : tuple[int, ...]
        The first release that the bridge means to speak, and the first of the next generation.
    tried : frozenset[str]
        The releases that the tests run.
    packages : tuple[str, ...]
        The distributions that publish it.
    server : str
        The package of the server, as a path.
    routes : frozenset[str]
        What is called: "GET run/<>", with <> for any number.
    answers : Mapping[str, tuple[str, ...]]
        The members that are read in answers, by the schema of the server that writes them.
    questions : Mapping[str, tuple[str, ...]]
        The members that are sent, by the schema of the server that checks them.
    statuses : Mapping[str, str]
        The statuses of a run that have a meaning for the bridge, and which.
    status_enums : tuple[str, ...]
        Where they are published: "path:class", whichever there is.
    words : Mapping[str, tuple[str, ...]]
        What must be written in a module: parameters of a URL, claims of a token, environment
        variables of a container, values of members.
    environment : str
        The module, among `words`, whose names in capitals are those of the environment.
    """

    first: tuple[int, ...]
    behind: tuple[int, ...]
    tried: frozenset[str]
    packages: tuple[str, ...]
    server: str
    routes: frozenset[str]
    answers: Mapping[str, tuple[str, ...]]
    questions: Mapping[str, tuple[str, ...]]
    statuses: Mapping[str, str]
    status_enums: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    environment: str


# Both generations.
_ROUTES = frozenset(
    {
        "GET version",
        "GET collaboration",
        "GET collaboration/<>",
        "GET organization",
        "GET node",
        "GET run",
        "GET run/<>",
        "GET result",
        "GET task",
        "GET task/<>",
        "GET task/<>/status",
        "GET algorithmstore",
        "POST task",
        "POST kill/task",
        "DELETE task/<>",
    }
)
_ANSWERS = {
    "CollaborationSchema": ("id", "name", "encrypted"),
    "OrganizationSchema": ("id", "name", "public_key"),
    "NodeSchema": ("status", "organization"),
    "RunSchema": ("id", "status", "node", "log", "finished_at"),
    "ResultSchema": ("result",),
    "TaskSchema": ("id", "name", "status", "parent", "init_org", "image", "collaboration"),
    "AlgorithmStoreSchema": ("id", "name", "url"),
}
_QUESTION = (
    "name",
    "description",
    "image",
    "collaboration_id",
    "study_id",
    "store_id",
    "organizations",
    "databases",
)
_RUNS = "not ended"
_STATUSES = {
    "pending": _RUNS,
    "initializing": _RUNS,
    "active": _RUNS,
    "completed": "ended well",
    "crashed": "ended, maybe with a result",
    "not allowed": "the owner refuses",
    "non-existing Docker image": "the image cannot be had",
    "failed": "failed",
    "start failed": "failed",
    "unknown error": "failed",
    "killed by user": "ended by a user",
}
_CLAIMS = ("node_id", "organization_id", "collaboration_id", "task_id", "image", "databases")
_PARAMETERS = {
    "resource/organization.py": ("collaboration_id", "study_id"),
    "resource/node.py": ("collaboration_id",),
    # "finished_till" is put together from these.
    "resource/run.py": ("task_id", "finished", "_till"),
    "resource/task.py": ("parent_id",),
}


def _below(server: str, words: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {f"{server}/{path}": names for path, names in words.items()}


_V4_ENVIRONMENT = "vantage6/node/docker/task_manager.py"
VANTAGE6_4 = Contract(
    first=(4, 13),
    behind=(5,),
    tried=frozenset({"4.15.2"}),
    packages=("vantage6-common", "vantage6-server", "vantage6-node"),
    server="vantage6/server",
    routes=_ROUTES | {"POST token/user", "POST token/refresh", "POST token/user/validate"},
    answers=_ANSWERS,
    questions={"TaskInputSchema": (*_QUESTION, "server_url")},
    statuses=_STATUSES,
    status_enums=(
        "vantage6/common/task_status.py:TaskStatus",
        "vantage6/common/enum.py:TaskStatus",
    ),
    words={
        _V4_ENVIRONMENT: (
            "INPUT_FILE",
            "OUTPUT_FILE",
            "TOKEN_FILE",
            "TEMPORARY_FOLDER",
            "USER_REQUESTED_DATABASE_LABELS",
            "HOST",
            "PORT",
            "API_PATH",
        ),
        **_below(
            "vantage6/server",
            {
                **_PARAMETERS,
                "resource/token.py": ("access_token", "refresh_token", *_CLAIMS, "study_id"),
            },
        ),
    },
    environment=_V4_ENVIRONMENT,
)

_V5_ENVIRONMENT = "vantage6/common/globals.py"
VANTAGE6_5 = Contract(
    first=(5, 0),
    behind=(6,),
    tried=frozenset({"5.0.3"}),
    packages=("vantage6-common", "vantage6-hq", "vantage6-node"),
    server="vantage6/hq",
    routes=_ROUTES
    | {
        "GET user/me",
        "POST session",
        "DELETE session/<>",
        "GET session/<>/dataframe",
        "POST session/<>/dataframe",
    },
    answers={
        **_ANSWERS,
        "NodeSchema": (*_ANSWERS["NodeSchema"], "config"),
        "RunSchema": (*_ANSWERS["RunSchema"], "organization"),
        "TaskSchema": (*_ANSWERS["TaskSchema"], "session"),
        "DataframeSchema": ("id", "name", "last_session_task"),
        "AlgorithmStoreSchema": (*_ANSWERS["AlgorithmStoreSchema"], "api_path"),
    },
    questions={
        "TaskInputSchema": (*_QUESTION, "session_id", "method", "action"),
        "SessionInputSchema": ("name", "collaboration_id", "scope"),
        "DataframeInitInputSchema": ("label", "name", "task"),
    },
    statuses={
        **_STATUSES,
        "failed": "failed, or only for a moment",
        "dataframe not found": "failed",
        "depended on failed task": "failed",
        "unexpected output": "failed",
    },
    status_enums=("vantage6/common/enum.py:RunStatus",),
    words={
        _V5_ENVIRONMENT: (
            "INPUT_FILE",
            "OUTPUT_FILE",
            "SESSION_FOLDER",
            "CONTAINER_TOKEN",
            "ALGORITHM_METHOD",
            "FUNCTION_ACTION",
            "USER_REQUESTED_DATAFRAMES",
            "DATABASE_URI",
            "DATABASE_TYPE",
            "HOST",
            "PORT",
            "API_PATH",
            # The key of what a node tells of its databases.
            "database_labels",
        ),
        "vantage6/common/enum.py": (
            "central_compute",
            "federated_compute",
            "data_extraction",
            "dataframe",
            "source",
        ),
        # It begins the name by which a node tells the type of a database.
        "vantage6/node/__init__.py": ("db_type_",),
        **_below("vantage6/hq", {**_PARAMETERS, "resource/token.py": (*_CLAIMS, "session_id")}),
    },
    environment=_V5_ENVIRONMENT,
)
GENERATIONS = (VANTAGE6_4, VANTAGE6_5)


def contract_of(release: str) -> Contract:
    """Return what the bridge relies on in a release.

    Raises
    ------
    Vantage6Error
        If the bridge does not mean to speak it.
    """
    version = version_of(release)
    for contract in GENERATIONS:
        if contract.first <= version < contract.behind:
            return contract
    first = ".".join(map(str, GENERATIONS[0].first))
    raise Vantage6Error(f"The bridge speaks vantage6 {first} to 5.x; this is {release}.")
