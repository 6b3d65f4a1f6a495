"""What is vantage6 5.x' own in its server's REST API: the server is called HQ there.

Source: vantage6 5.0.3, `vantage6/hq/resource/`.
"""

import ast
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from proxy.platforms import VANTAGE6_5
from proxy.vantage6.server import Server, Subtask, TaskStatus

# `AlgorithmStepType` in vantage6/common/enum.py. A function that computes has no network but for a
# central one, which has a token.
_ACTIONS = {"central": "central_compute", "extract": "data_extraction"}
_PARTIAL = "federated_compute"
# A pod that ends before its node saw it run is shown so for a second, and then as what it is.
_MOMENTARY = frozenset({"failed", "unknown error"})
# Longer than that it is no moment: a run that could not be started gets no date of its end.
_MOMENT_SECONDS = 20.0
_FAILED = "failed"
_PRINTED = re.compile(r"""b(['"])(?:\\.|(?!\1).)*\1""")


class Server5(Server):
    """The API of a vantage6 5.x HQ."""

    platform = VANTAGE6_5
    _input = "arguments"

    _inherited = (*Server._inherited, "session_id")

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._seen: dict[int, float] = {}

    def own_organization(self) -> int:
        """Return the id of the user's organization; users may ask."""
        answer = self.get("user/me")
        with self.understanding():
            return int(answer["organization"]["id"])

    def task_status(self, task: int) -> TaskStatus:
        """Return a task's status: if it did not fail, in the words for tasks; raises as `get`."""
        status = super().task_status(task)
        return self._status_of_run(task) if status.name == _FAILED else status

    def members_below(
        self, claims: Mapping[str, Any], dataframes: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Return what a container's tasks have in common: see `Server.members_below`."""
        members = super().members_below(claims)
        # A task that asks for a dataframe says nothing else of it than the token does.
        own = [
            dataframe["dataframe_id"] for position in claims["databases"] for dataframe in position
        ]
        members["databases"] = databases_of([*own, *dataframes])
        return members

    def arguments(self, method: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return the members of the input: the arguments, and nothing else."""
        return dict(kwargs)

    def method_of(self, task: Mapping[str, Any]) -> object:
        """Return the function that a task calls."""
        return task.get("method")

    def _members(self, method: str) -> dict[str, Any]:
        return {"method": method, "action": _ACTIONS.get(method, _PARTIAL)}

    def _ready(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        return padded(pieces)

    def _status_of_run(self, task: int) -> TaskStatus:
        answer = self.all("run", task_id=task)
        with self.understanding():
            (run,) = answer
            return self.status_of(run)

    def status_of(self, run: Mapping[str, Any]) -> TaskStatus:
        """Return what a run's JSON says: only a date is an end, where it sounds like a failure."""
        name = str(run["status"])
        if name not in _MOMENTARY or run.get("finished_at"):
            return TaskStatus(name)
        first = self._seen.setdefault(int(run["id"]), time.monotonic())
        return TaskStatus(name, momentary=time.monotonic() - first < _MOMENT_SECONDS)

    def _checked(self, task: Subtask) -> TaskStatus:
        return self._status_of_run(task.id) if task.status.name == _FAILED else task.status

    def _log(self, log: str) -> str:
        return readable(log)


def databases_of(dataframes: Sequence[int]) -> list[list[dict[str, Any]]]:
    """Return how a task asks for dataframes, each as an argument of its own."""
    return [[{"type": "dataframe", "dataframe_id": dataframe}] for dataframe in dataframes]


def padded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a JSON text whose length is no multiple of 3.

    In an encrypted collaboration HQ takes key, counter and text, each in base64, for one base64
    text, and from Python 3.13 on refuses it where the text needs no padding.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        yield piece
    if size % 3 == 0:
        yield b" "


def readable(log: str) -> str:
    """Return a log as it was printed: a node sends it as Python writes bytes, escapes and all."""

    def printed(match: re.Match[str]) -> str:
        try:
            return bytes(ast.literal_eval(match[0])).decode(errors="replace")
        except (ValueError, SyntaxError):
            return match[0]

    return _PRINTED.sub(printed, log).replace("\r\n", "\n")
