"""A user at the REST API, as vantage6's own client or web interface would speak to it."""

import json
from contextlib import suppress
from typing import Any

import requests

from integration_tests.harness import PATIENCE_SECONDS, wait_until
from integration_tests.vantage6.stack import Collaboration
from proxy.vantage6.encryption import Encrypted, Plain

_TIMEOUT_SECONDS = 60.0
# More often would keep the server from its work.
_POLL_SECONDS = 0.2
# Of what is asked for in pages.
_PAGE = 250
_NOT_ENDED = ("pending", "initializing", "active")


class Researcher:
    """The user of a collaboration, logged in.

    Parameters
    ----------
    collaboration : Collaboration
        Where.

    Attributes
    ----------
    headers : dict[str, str]
        What says who calls.
    """

    def __init__(self, collaboration: Collaboration) -> None:
        self._collaboration = collaboration
        key = collaboration.private_key
        self._encoding = Encrypted(key) if key else Plain()
        self._session = requests.Session()
        login = self.post(
            "token/user", username=collaboration.username, password=collaboration.password
        )
        self.headers = {"Authorization": f"Bearer {login['access_token']}"}
        self._session.headers.update(self.headers)

    def create(self, image: str, method: str, organization: int, **keywords: object) -> int:
        """Create a task for one organization; returns its id."""
        public_key = self.get(f"organization/{organization}")["public_key"]
        payload = json.dumps({"method": method, "kwargs": keywords}).encode()
        sealed = b"".join(self._encoding.seal([payload], public_key)).decode()
        task = self.post(
            "task",
            name=method,
            description="",
            image=image,
            collaboration_id=self._collaboration.id,
            organizations=[{"id": organization, "input": sealed}],
            databases=[{"label": "default"}],
        )
        return int(task["id"])

    def status(self, task: int) -> str:
        """Return a task's status."""
        return str(self.get(f"task/{task}/status")["status"])

    def run(self, task: int) -> dict[str, Any]:
        """Return what the server knows of the run of a task."""
        (run,) = self.get("run", task_id=task)["data"]
        answer: dict[str, Any] = run
        return answer

    def end(self, task: int, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until a task has ended; returns its status."""
        # A run is found by its id at once; for a task's status the server goes through all runs.
        run = f"run/{self.run(task)['id']}"
        wait_until(
            lambda: self.get(run)["status"] not in _NOT_ENDED,
            f"task {task} has ended",
            timeout,
            _POLL_SECONDS,
        )
        return self.status(task)

    def result(self, task: int, timeout: float = PATIENCE_SECONDS) -> Any:
        """Wait until a task has completed; returns its result."""
        assert self.end(task, timeout) == "completed", self.run(task)["log"]
        return self.left(task)

    def left(self, task: int) -> Any:
        """Return what a task that ended has left as its result, however it ended."""
        (result,) = self.get("result", task_id=task)["data"]
        return json.loads(b"".join(self._encoding.unseal([result["result"].encode()])))

    def kill(self, task: int) -> None:
        """Kill a task and its subtasks."""
        self.post("kill/task", id=task)

    def kill_what_is_open(self) -> None:
        """End all tasks that the server shows as not ended, in whatever run they are.

        A node that was killed knows nothing of its tasks any more. When it is started again it
        starts again those that are open, those of earlier tests, too; and before it starts run 2,
        it removes the newest container whose name contains "run-2": that of run 27 (vantage6-node
        4.15.2, `docker/task_manager.py`, `run`; Docker's filter by name takes a part of it).
        """
        for run in self.get("run", state="open", per_page=_PAGE)["data"]:
            with suppress(AssertionError):  # it has ended meanwhile
                self.kill(run["task"]["id"])

    def get(self, path: str, **parameters: int | str) -> Any:
        """Return what the server answers to a GET."""
        return self._answer(
            self._session.get(self._url(path), params=parameters, timeout=_TIMEOUT_SECONDS)
        )

    def post(self, path: str, **body: object) -> Any:
        """Return what the server answers to a POST."""
        return self._answer(
            self._session.post(self._url(path), json=body, timeout=_TIMEOUT_SECONDS)
        )

    def delete(self, path: str) -> None:
        """Have something deleted."""
        self._answer(self._session.delete(self._url(path), timeout=_TIMEOUT_SECONDS))

    def _url(self, path: str) -> str:
        return f"{self._collaboration.url}/{path}"

    def _answer(self, response: requests.Response) -> Any:
        assert response.ok, f"{response.url}: {response.status_code} {response.text}"
        return response.json()
