"""A vantage6 server's REST API, called by a user or by an algorithm container.

What its generations share; `v4` and `v5` say the rest. From a container all calls go through its
node's proxy, which answers with status 500 to whatever goes wrong behind it. Sources: vantage6
4.15, `vantage6/server/resource/`; 5.0.3, `vantage6/hq/resource/`; both,
`vantage6/node/proxy_server.py`.
"""

import json
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import requests

from proxy import strict_json
from proxy.errors import NotFound, NotPermitted, ServerUnreachable, UsageError, Vantage6Error
from proxy.platforms import Platform
from proxy.vantage6.encryption import Encoding, Plain
from proxy.vantage6.login import PLAIN, ContainerLogin, Login, bearer, content_of, reason
from proxy.vantage6.login import pieces_of as pieces_of_response
from proxy.vantage6.members import Member, pieces_of, with_member

# A server that stores a large input or result takes its time.
_TIMEOUT_SECONDS = (5.0, 600.0)
# What is asked for often is answered soon, or asked for again.
_SHORT_TIMEOUT_SECONDS = (5.0, 60.0)
_PAGE = 250
# The log of a task is in one answer, the keys of 250 organizations in another.
_MOST_ANSWER_BYTES = 64 << 20
_MOST_ERROR_BYTES = 64 << 10
# More items are in no list: a server that goes on for ever is broken.
_MOST_PAGES = 400
# Later than any task ends.
_FOR_EVER = "9999-12-31"
_ONLINE = "online"
_COMPLETED = "completed"
_CRASHED = "crashed"
_MEANINGS = {
    "crashed": "the task's log says why",
    "not allowed": "the node's owner does not allow this image or this user",
    "non-existing Docker image": "the node can neither find nor pull the image",
    "start failed": "the node could not start the container; its log says why",
    "unknown error": "the node lost the container; its log may say why",
}
# `TaskStatus` in vantage6/common/task_status.py (4.15), `RunStatus` and `TaskStatus` in
# vantage6/common/enum.py (5.0.3); all others are ends.
_NOT_ENDED = frozenset({"pending", "initializing", "active", "awaiting"})


@dataclass(frozen=True)
class Organization:
    """An organization of a collaboration; `public_key` is base64 of a PEM file, or empty."""

    id: int
    name: str
    public_key: str = field(repr=False)


@dataclass(frozen=True)
class TaskStatus:
    """A task's status, in vantage6's words.

    Attributes
    ----------
    name : str
        The word.
    momentary : bool
        Whether another word may follow, though this one sounds like an end.
    """

    name: str
    momentary: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.name not in _NOT_ENDED and not self.momentary

    @property
    def completed(self) -> bool:
        """Whether it ended well."""
        return self.name == _COMPLETED

    @property
    def ran(self) -> bool:
        """Whether the function ended by itself, if with an error: there may be a result."""
        return self.name in {_COMPLETED, _CRASHED}

    @property
    def explained(self) -> str:
        """The status, and what it means to whoever reads of it for the first time."""
        meaning = _MEANINGS.get(self.name)
        return f"{self.name} ({meaning})" if meaning else self.name


@dataclass(frozen=True)
class Run:
    """What became of a task at the only organization that it had.

    Attributes
    ----------
    status : TaskStatus
        The task's status.
    node_online : bool
        Whether the node is online that has it.
    log : str
        What its containers have printed so far, as far as the node shares it.
    """

    status: TaskStatus
    node_online: bool
    log: str


@dataclass(frozen=True)
class Subtask:
    """A task that another one created."""

    id: int
    name: str
    status: TaskStatus


class Server(ABC):
    """The API; safe to use from several threads.

    Parameters
    ----------
    url : str
        Its address, with the API's path.
    login : Login
        Who calls.
    encoding : Encoding
        What is done to inputs and results on this side.

    Attributes
    ----------
    platform : Platform
        What can be relied on there.
    """

    platform: ClassVar[Platform]
    # Members of a task that the tasks which its container creates have, too.
    _inherited: ClassVar[Sequence[str]] = (
        *("image", "collaboration_id", "databases", "study_id", "store_id"),
    )
    # The member of a task's organization that holds the input.
    _input: ClassVar[str]

    def __init__(self, url: str, login: Login, encoding: Encoding | None = None) -> None:
        self.url = url.rstrip("/")
        self.encoding = encoding or Plain()
        self._login = login
        self._renewing = threading.Lock()
        self._session = requests.Session()
        # A node sets HTTP_PROXY in containers, but its own proxy is reached directly.
        self._session.trust_env = not isinstance(login, ContainerLogin)

    @property
    def token(self) -> str:
        """What whoever calls shows."""
        return self._login.token

    def get(self, path: str, **parameters: str | int) -> Any:
        """Return what the server answers to a GET.

        Raises
        ------
        ServerUnreachable
            If it does not answer, or not now.
        NotFound
            If there is nothing of that name or number.
        Vantage6Error
            If it refuses.
        """
        with self.call("GET", path, params=parameters, timeout=_SHORT_TIMEOUT_SECONDS) as response:
            return answer_of(response)

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """Turn what the body raises for a member that is missing or wrong into a `Vantage6Error`.

        Raises
        ------
        Vantage6Error
            If there is such a member.
        """
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Vantage6Error(
                f"{self.url} answered with something else than expected: {error!r:.200}.",
                "Is that the API of a vantage6 server?",
            ) from error

    def all(self, path: str, **parameters: str | int) -> list[dict[str, Any]]:
        """Return all items of a list; raises as `get` does."""
        items: list[dict[str, Any]] = []
        for page in range(1, _MOST_PAGES + 1):
            answer = self.get(path, page=page, per_page=_PAGE, **parameters)
            with self.understanding():
                items += answer["data"]
                if len(answer["data"]) < _PAGE:
                    return items
            if len(items) > page * _PAGE:
                break
        raise Vantage6Error(
            f"{self.url}/{path} lists more than the {len(items):,} items asked for."
        )

    def organizations(self, collaboration: int, study: int | None = None) -> list[Organization]:
        """Return the organizations of a collaboration, or of a study in it, by their ids."""
        where = {"study_id": study} if study else {"collaboration_id": collaboration}
        answer = self.all("organization", **where)
        with self.understanding():
            organizations = [
                Organization(
                    int(entry["id"]), str(entry["name"]), str(entry.get("public_key") or "")
                )
                for entry in answer
            ]
        return sorted(organizations, key=lambda organization: organization.id)

    @abstractmethod
    def own_organization(self) -> int:
        """Return the id of the user's organization; users may ask."""

    def nodes(self, collaboration: int) -> dict[int, bool]:
        """Return whether the node is online of each organization that has one; users may ask."""
        answer = self.all("node", collaboration_id=collaboration)
        with self.understanding():
            return {int(node["organization"]["id"]): node["status"] == _ONLINE for node in answer}

    def run_of(self, task: int) -> int:
        """Return the id of the run of a task that had one organization; containers may ask."""
        answer = self.all("run", task_id=task)
        with self.understanding():
            (run,) = answer
            return int(run["id"])

    def run(self, number: int) -> Run:
        """Return what became of the run with an id; containers may ask.

        The server has it at once, while for a task's status it goes through all runs that there
        are. But the answer carries the run's input, so the input had better be short.
        """
        run = self.get(f"run/{number}")
        with self.understanding():
            # An organization may have taken its node off the server.
            online = (run["node"] or {}).get("status") == _ONLINE
            return Run(self.status_of(run), online, self._log(str(run["log"] or "")))

    def status_of(self, run: Mapping[str, Any]) -> TaskStatus:
        """Return what a run's JSON says of its status."""
        return TaskStatus(str(run["status"]))

    def _log(self, log: str) -> str:
        """Return what a container printed, as the server has it."""
        return log

    def members_below(
        self, claims: Mapping[str, Any], dataframes: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Return what the tasks that a container creates have in common.

        Parameters
        ----------
        claims : Mapping[str, Any]
            What its token says: its own task's members.
        dataframes : Sequence[int]
            Further data that they get, where there are sessions.

        Raises
        ------
        UsageError
            If there are none.
        """
        if dataframes:
            raise UsageError(
                "This is a vantage6 4 node, which has no dataframes.",
                "Ask for databases of the stations.",
            )
        return {name: claims[name] for name in self._inherited if claims.get(name)}

    @abstractmethod
    def arguments(self, method: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members of the input by which a container learns what to call with what."""

    @abstractmethod
    def method_of(self, task: Mapping[str, Any]) -> object:
        """Return the function that a task calls; None where that cannot be read."""

    @abstractmethod
    def _members(self, method: str) -> dict[str, Any]:
        """Return the members of a task that tell the node what it calls."""

    def _ready(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """Return an input as the server takes it."""
        return pieces

    def naming_store(self, number: int) -> dict[str, Any]:
        """Return the members by which a task names the algorithm store that has its image."""
        return {"store_id": number}

    def create_task(
        self,
        task: Mapping[str, Any],
        method: str,
        organization: Organization,
        payload: Path,
        seconds: float = _TIMEOUT_SECONDS[1],
    ) -> int:
        """Create a task for one organization.

        Parameters
        ----------
        task : Mapping[str, Any]
            The members of vantage6's task, but for `organizations` and what names the function.
        method : str
            The function, which is also among the input's `arguments`.
        organization : Organization
            Where it runs.
        payload : Path
            A file with its input.
        seconds : float
            How long to wait for the answer; never longer than ten minutes.

        Returns
        -------
        int
            The task's id.

        Raises
        ------
        ServerUnreachable
            If it is not known whether there is a task now; it is safe to try again if the function
            that it calls does not mind to be called twice.
        Vantage6Error
            If the server refuses.
        """
        members = {**task, **self._members(method)}
        with tempfile.TemporaryFile(dir=payload.parent) as body:
            with payload.open("rb") as source:
                ready = self._ready(pieces_of(source))
                sealed = self.encoding.seal(ready, organization.public_key)
                body.write(json.dumps(members).encode()[:-1] + b', "organizations": [')
                body.writelines(with_member({"id": organization.id}, self._input, sealed, b"}]}"))
            body.seek(0)
            headers = {"Content-Type": "application/json"}
            connecting, answering = _TIMEOUT_SECONDS
            timeout = connecting, min(answering, max(1.0, seconds))
            with (
                self.call("POST", "task", data=body, headers=headers, timeout=timeout) as response,
                self.understanding(),
            ):
                return int(answer_of(response)["id"])

    def task_status(self, task: int) -> TaskStatus:
        """Return a task's status; raises as `get` does."""
        answer = self.get(f"task/{task}/status")
        with self.understanding():
            return TaskStatus(str(answer["status"]))

    def subtasks(self, parent: int, page: int, size: int) -> list[Subtask]:
        """Return a page of the tasks that a task created, the newest first."""
        answer = self.get("task", parent_id=parent, page=page, per_page=size)
        with self.understanding():
            listed = [
                Subtask(int(task["id"]), str(task["name"]), TaskStatus(str(task["status"])))
                for task in answer["data"]
            ]
        return [replace(subtask, status=self._checked(subtask)) for subtask in listed]

    def _checked(self, task: Subtask) -> TaskStatus:
        """Return a listed task's status, asked for again where the list may mislead."""
        return task.status

    def save_result(self, task: int, path: Path) -> bool:
        """Write the result of a task that had one organization to a file, if the task has ended.

        To whoever waits for an end this is the question to ask: until then the server only
        compares a date. For a task's status it reads input and result, whatever their size.

        Returns
        -------
        bool
            Whether it has ended. A task that its node could not even start may have no end: its
            status tells.

        Raises
        ------
        Vantage6Error, CarrierError
            If it has left no result, or a damaged one.
        ServerUnreachable
            If the server does not answer.
        """
        params = {"task_id": task, "finished_till": _FOR_EVER}
        with tempfile.TemporaryFile(dir=path.parent) as body:
            with self.call("GET", "result", params=params) as response:
                try:
                    body.writelines(pieces_of_response(response))
                except requests.RequestException as error:
                    raise ServerUnreachable(
                        f"The vantage6 server broke off while it sent a result: {error}."
                    ) from error
            body.seek(0)
            result = Member(body, "result")
            if not result.found and not _listed(result.before):
                return False
            with path.open("wb") as target:
                if result.found:
                    target.writelines(self.encoding.unseal(result.pieces()))
        if not path.stat().st_size:
            raise Vantage6Error(f"Task {task} has no result.")
        return True

    def kill_task(self, task: int) -> None:
        """End a task and its subtasks; users may, if their role says so (`NotPermitted`)."""
        members = {"id": task}
        self.call("POST", "kill/task", json=members, timeout=_SHORT_TIMEOUT_SECONDS).close()

    def delete_task(self, task: int) -> None:
        """Delete a task with its input and result, and end it; users may, if their role says so.

        Of its subtasks the server deletes only the names: their inputs and results stay in its
        database for ever, and nobody can reach them any more (4.15, `resource/task.py`,
        `_delete_subtasks`). So they have to be deleted first.
        """
        self.call("DELETE", f"task/{task}").close()

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Return the answer to a request, to be closed; raises as `get` does.

        Parameters
        ----------
        method, path : str
            As in HTTP, below the API's address.
        arguments : Any
            As `requests` takes them.
        """
        token = self._login.token
        response = self._send(method, path, **arguments)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._renewed(token):
            response.close()
            if "data" in arguments:
                arguments["data"].seek(0)
            response = self._send(method, path, **arguments)
        if response.ok:
            return response
        with response:
            status = f"answered with status {response.status_code}"
            text = f"{self.url}/{path} {status}: {_message(response).rstrip('.!')}."
            if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise ServerUnreachable(text)
            if response.status_code == HTTPStatus.NOT_FOUND:
                raise NotFound(text)
            if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise NotPermitted(text)
            raise Vantage6Error(text)

    def _renewed(self, token: str) -> bool:
        """Whether there is another token now: of several threads only one asks for it."""
        with self._renewing:
            return self._login.token != token or self._login.renew()

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            return self._session.request(
                method,
                f"{self.url}/{path}",
                auth=bearer(self._login.token),
                stream=True,
                **{
                    "timeout": _TIMEOUT_SECONDS,
                    **arguments,
                    "headers": {**PLAIN, **arguments.get("headers", {})},
                },
            )
        except requests.RequestException as error:
            raise ServerUnreachable(
                f"The vantage6 server at {self.url} does not answer: {reason(error)}."
            ) from error


def answer_of(response: requests.Response) -> Any:
    """Return the JSON that a server answered with; raises as `Server.get` does."""
    try:
        return strict_json.loads(content_of(response, _MOST_ANSWER_BYTES))
    except requests.RequestException as error:
        raise ServerUnreachable(f"{response.url} was cut off: {reason(error)}.") from error
    except ValueError as error:
        raise Vantage6Error(
            f"{response.url} did not answer with JSON.",
            "Check that the address is the API of a vantage6 server.",
        ) from error


def _listed(text: bytes) -> list[Any]:
    """Return what is in a list that the server answers with."""
    try:
        results = strict_json.loads(text)["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise Vantage6Error("The vantage6 server did not answer with a list of results.") from error
    if not isinstance(results, list):
        raise Vantage6Error("The vantage6 server did not answer with a list of results.")
    return results


def _message(response: requests.Response) -> str:
    """Return what the server says to a refusal."""
    try:
        answer = strict_json.loads(content_of(response, _MOST_ERROR_BYTES))
    except (ValueError, Vantage6Error, requests.RequestException):
        return str(response.reason)
    if not isinstance(answer, dict) or "msg" not in answer:
        return str(answer)
    return f"{answer['msg']}: {answer['errors']}" if "errors" in answer else str(answer["msg"])
