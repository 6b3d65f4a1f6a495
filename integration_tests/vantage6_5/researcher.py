"""A user at HQ's REST API, as vantage6's own client or web interface would speak to it."""

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import requests

from integration_tests.harness import PATIENCE_SECONDS, wait_until
from integration_tests.vantage6_5.registration import Account
from integration_tests.vantage6_5.stack import Collaboration
from proxy.vantage6.encryption import Encrypted, Plain

_TIMEOUT_SECONDS = 120.0
# More often would keep HQ from its work.
_POLL_SECONDS = 0.2
# Names of sessions are unique in all of HQ.
_sessions = itertools.count(1)


class Researcher:
    """The user of a collaboration, logged in, with a session of its own.

    Parameters
    ----------
    collaboration : Collaboration
        Where tasks are created.
    account : Account | None
        Who logs in; if None, the collaboration's researcher.
    """

    def __init__(self, collaboration: Collaboration, account: Account | None = None) -> None:
        self._collaboration = collaboration
        key = collaboration.private_key
        self._encoding = Encrypted(key) if key else Plain()
        self._http = requests.Session()
        token = (account or collaboration.researcher).token(collaboration.keycloak)
        self._http.headers["Authorization"] = f"Bearer {token}"
        answer = self.post(
            "session",
            name=f"of the tests {next(_sessions)}",
            collaboration_id=collaboration.id,
            scope="own",
        )
        self.session = int(answer["id"])

    def create(self, image: str, method: str, organization: int, **arguments: object) -> int:
        """Create a task of a central function for one organization; returns its id."""
        return self.create_as("central_compute", image, method, organization, arguments)

    def create_as(
        self,
        action: str,
        image: str,
        method: str,
        organization: int,
        arguments: Mapping[str, object] | None = None,
        dataframes: Iterable[int] = (),
    ) -> int:
        """Create a task with any action; returns its id."""
        wanted = [{"type": "dataframe", "dataframe_id": each} for each in dataframes]
        task = self.post(
            "task",
            name=method,
            description="",
            image=image,
            method=method,
            action=action,
            collaboration_id=self._collaboration.id,
            session_id=self.session,
            organizations=[self._addressed(organization, arguments or {})],
            databases=[wanted],
        )
        return int(task["id"])

    def extract(self, image: str, method: str, label: str, organizations: Iterable[int]) -> int:
        """Have organizations extract a database; returns the dataframe's id once it is ready."""
        frame = self.post(
            f"session/{self.session}/dataframe",
            label=label,
            task={
                "image": image,
                "method": method,
                "organizations": [self._addressed(each, {}) for each in organizations],
            },
        )
        wait_until(
            lambda: self.get(f"session/dataframe/{frame['id']}")["ready"],
            f"the database {label} is extracted",
            interval=_POLL_SECONDS,
        )
        return int(frame["id"])

    def status_of_run(self, task: int) -> str:
        """Return the status of a task's run; the task's own says less."""
        return str(self.run(task)["status"])

    def run(self, task: int) -> dict[str, Any]:
        """Return what HQ knows of the run of a task."""
        (run,) = self.get("run", task_id=task)["data"]
        answer: dict[str, Any] = run
        return answer

    def end(self, task: int, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until a task's run has ended; returns the run's status."""
        number = self.run(task)["id"]
        wait_until(
            lambda: self.get(f"run/{number}")["finished_at"] is not None,
            f"task {task} has ended",
            timeout,
            _POLL_SECONDS,
        )
        return self.status_of_run(task)

    def result(self, task: int, timeout: float = PATIENCE_SECONDS) -> Any:
        """Wait until a task has completed; returns its result."""
        assert self.end(task, timeout) == "completed", self.run(task)
        return self.left(task)

    def left(self, task: int) -> Any:
        """Return what a task that ended has left as its result; None if that is nothing."""
        (result,) = self.get("result", task_id=task)["data"]
        if not result["result"]:
            return None
        return json.loads(b"".join(self._encoding.unseal([result["result"].encode()])))

    def kill(self, task: int) -> None:
        """Kill a task and its subtasks."""
        self.post("kill/task", id=task)

    def delete(self, path: str) -> None:
        """Delete something."""
        self._answer(self._http.delete(self._url(path), timeout=_TIMEOUT_SECONDS))

    def get(self, path: str, **parameters: int) -> Any:
        """Return what HQ answers to a GET."""
        return self._answer(
            self._http.get(self._url(path), params=parameters, timeout=_TIMEOUT_SECONDS)
        )

    def post(self, path: str, **body: object) -> Any:
        """Return what HQ answers to a POST."""
        return self._answer(self._http.post(self._url(path), json=body, timeout=_TIMEOUT_SECONDS))

    def addressed(self, organization: int, text: str) -> dict[str, object]:
        """Return arguments, as they are, in the form for an organization."""
        public_key = self.get(f"organization/{organization}")["public_key"]
        sealed = b"".join(self._encoding.seal([text.encode()], public_key)).decode()
        return {"id": organization, "arguments": sealed}

    def _addressed(self, organization: int, arguments: Mapping[str, object]) -> dict[str, object]:
        text = json.dumps(dict(arguments))
        # HQ on Python 3.13 refuses a sealed text whose length is a multiple of 3.
        return self.addressed(organization, text + " " * (len(text) % 3 == 0))

    def _url(self, path: str) -> str:
        return f"{self._collaboration.url}/{path}"

    def _answer(self, response: requests.Response) -> Any:
        assert response.ok, f"{response.url}: {response.status_code} {response.text}"
        return response.json()
