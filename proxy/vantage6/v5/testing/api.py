"""What an HQ answers to a request. Seen on vantage6 5.0.3."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from proxy.vantage6.testing.keys import public_key, sealed, unsealed
from proxy.vantage6.testing.model import Asked, FakeTask, Model
from proxy.vantage6.testing.serving import Answer, Json, Request

_USER: Json = {"id": 1, "organization": {"id": 1}}
_REFUSED = HTTPStatus.BAD_REQUEST
_LATE = "2026-01-31T10:00:00"


@dataclass
class HqApi:
    """Answers requests.

    Attributes
    ----------
    databases : dict[int, dict[str, str]]
        The type of each database by its label, by the organization's id.
    moments : set[int]
        Tasks that are shown as failed, without an end, though they have not failed.
    sessions : dict[int, list[tuple[int, str, int]]]
        By their ids: the id, the name and the task of each dataframe.
    members : list[Json]
        What each task was asked for, all of it.
    extractions : list[Json]
        The same, of tasks that extract.
    approved : set[str]
        The images in the collaborations' algorithm store; there is one if there are any. It wants
        to know who asks.
    names : dict[int, str]
        The names of sessions.
    session_of : dict[int, int]
        The session of each task that was asked for; of others it is 1.
    extracting : dict[int, list[int]]
        The organizations of tasks that extract.
    """

    model: Model
    tokens: dict[str, str] = field(default_factory=lambda: {"a token": "access"})
    databases: dict[int, dict[str, str]] = field(default_factory=dict)
    moments: set[int] = field(default_factory=set)
    sessions: dict[int, list[tuple[int, str, int]]] = field(default_factory=dict)
    members: list[Json] = field(default_factory=list)
    extractions: list[Json] = field(default_factory=list)
    approved: set[str] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)
    session_of: dict[int, int] = field(default_factory=dict)
    extracting: dict[int, list[int]] = field(default_factory=dict)
    url: str = ""

    def answer(self, request: Request) -> Answer:  # noqa: PLR0912 - a table
        """Answer a request; the status is 404 if there is nothing like it."""
        body = request.body
        match request.method, request.path.split("/"):
            case "GET", ["version"]:
                answer: Answer = (HTTPStatus.OK, {"version": "5.0.3"})
            case _ if request.container is None and self.tokens.get(request.token) != "access":
                answer = HTTPStatus.UNAUTHORIZED, {"msg": "Token has expired"}
            case "GET", ["store", "api", "algorithm"]:
                images = [each for each in self.approved if each == request.query["image"]]
                answer = HTTPStatus.OK, {"data": [{"image": each} for each in images]}
            case "GET", ["user", "me"]:
                answer = HTTPStatus.OK, _USER
            case "POST", ["task"]:
                answer = self._post_task(request)
            case "POST", ["session"]:
                number = len(self.sessions) + 1
                self.sessions[number], self.names[number] = [], body["name"]
                answer = HTTPStatus.CREATED, {"id": number, **body}
            case "POST", ["session", session, "dataframe"]:
                answer = self._extract(int(session), body)
            case "DELETE", ["session", session]:
                del self.sessions[int(session)]
                for task in self._tasks_in(int(session)):
                    self.model.delete(task)
                answer = HTTPStatus.OK, {"msg": "Successfully deleted session"}
            case "GET", ["session", session]:
                answer = HTTPStatus.OK, {"id": 1, "name": self.names.get(int(session), "mine")}
            case "GET", ["session", session, "dataframe"]:
                found = [self._dataframe(*each) for each in self.sessions[int(session)]]
                answer = HTTPStatus.OK, {"data": found}
            case "POST", ["kill", "task"] if request.container is None:
                self.model.kill(self.model.tasks[body["id"]])
                answer = HTTPStatus.OK, {"msg": "Nodes have been instructed to kill the tasks"}
            case "GET", [kind, number, *more]:
                answer = self._one(kind, int(number), bool(more))
            case "GET", [kind]:
                answer = self._list(kind, request)
            case _:
                answer = HTTPStatus.NOT_FOUND, {"msg": "Not found"}
        return answer

    def _post_task(self, request: Request) -> Answer:
        body = request.body
        missing = {"method", "session_id", "action"} - body.keys()
        if missing:
            errors = {name: ["Missing data for required field."] for name in missing}
            return _REFUSED, {"msg": "Request body is incorrect", "errors": errors}
        self.members.append(body)
        parent = self.model.tasks[request.container["task_id"]] if request.container else None
        [organization] = body["organizations"]
        arguments, encrypted = organization["arguments"], self._encrypted(body["collaboration_id"])
        read = b64decode(arguments) if not encrypted or parent else b""
        if encrypted:
            read = read or unsealed(arguments, organization["id"])
            # Python 3.13 takes key, counter and text for one base64 text.
            if len(read) % 3 == 0:
                return HTTPStatus.INTERNAL_SERVER_ERROR, {"msg": "An unexpected error occurred"}
        return HTTPStatus.CREATED, self._task(self._created(body, organization["id"], read, parent))

    def _created(
        self, body: Json, organization: int, read: bytes, parent: FakeTask | None
    ) -> FakeTask:
        asked = Asked(
            body["name"],
            body["image"],
            body["collaboration_id"],
            organization,
            {"method": body["method"], "kwargs": json.loads(read)},
            body.get("description", ""),
            tuple(str(each) for each in body.get("databases", [])),
        )
        task = self.model.create(asked, parent)
        self.session_of[task.id] = body["session_id"]
        return task

    def _tasks_in(self, session: int) -> list[FakeTask]:
        tasks = self.model.tasks.values()
        return [each for each in tasks if self.session_of.get(each.id, 1) == session]

    def _extract(self, session: int, body: Json) -> Answer:
        """Have the first organization extract for all: a fake's task has one."""
        asked = body["task"]
        self.extractions.append(asked)
        first = asked["organizations"][0]
        about = {"name": "Session initialization", "collaboration_id": 1, "session_id": session}
        members = {**about, **asked}
        arguments = first["arguments"]
        read = unsealed(arguments, first["id"]) if self._encrypted(1) else b64decode(arguments)
        task = self._created(members, first["id"], read, None)
        self.extracting[task.id] = [each["id"] for each in asked["organizations"]]
        number = sum(map(len, self.sessions.values())) + 1
        self.sessions[session].append((number, body["name"], task.id))
        return HTTPStatus.CREATED, {"id": number, "last_session_task": {"id": task.id}}

    def _dataframe(self, number: int, name: str, task: int) -> Json:
        made = self.model.tasks.get(task)
        return {
            "id": number,
            "name": name,
            "db_label": made.input["kwargs"]["label"] if made else "default",
            "ready": made is None or made.status == "completed",
        }

    def _encrypted(self, collaboration: int) -> bool:
        return self.model.collaborations[collaboration].encrypted

    def _status(self, task: FakeTask) -> str:
        if not task.ended:
            return "failed" if task.id in self.moments else "awaiting"
        return "completed" if task.status == "completed" else "failed"

    def _task(self, task: FakeTask) -> Json:
        return {
            "id": task.id,
            "name": task.asked.name,
            "status": self._status(task),
            "collaboration": {"id": task.asked.collaboration},
            "parent": None if task.parent is None else {"id": task.parent.id},
            "init_org": _USER["organization"],
            "image": task.asked.image,
            "session": {"id": self.session_of.get(task.id, 1)},
            "method": task.input["method"],
        }

    def _run(self, task: FakeTask) -> Json:
        online = "online" if self.model.node_online(task) else "offline"
        moment = task.id in self.moments and not task.ended
        return {
            "id": task.run,
            "organization": {"id": task.asked.organization},
            "node": {"id": task.asked.organization, "status": online},
            "status": "unknown error" if moment else task.status,
            "finished_at": _LATE if task.finished else None,
            "log": task.log or None,
        }

    def _runs(self, task: FakeTask) -> list[Json]:
        run = self._run(task)
        organizations = self.extracting.get(task.id, [task.asked.organization])
        return [{**run, "organization": {"id": each}} for each in organizations]

    def _one(self, kind: str, number: int, only_status: bool) -> Answer:
        found: Json | None = None
        if kind == "task" and (task := self.model.tasks.get(number)):
            found = {"status": self._status(task)} if only_status else self._task(task)
        elif kind == "run":
            found = next(
                (self._run(task) for task in self.model.tasks.values() if task.run == number), None
            )
        elif kind == "collaboration" and number in self.model.collaborations:
            found = self._collaboration(number)
        if found is None:
            return HTTPStatus.NOT_FOUND, {"msg": f"{kind} id={number} is not found"}
        return HTTPStatus.OK, found

    def _list(self, kind: str, request: Request) -> Answer:
        query = request.query
        if kind == "node" and request.container is not None:
            return HTTPStatus.UNAUTHORIZED, {"msg": "You lack the permission to do that!"}
        about = self.model.tasks.get(int(query.get("task_id", 0)))
        lists: dict[str, Callable[[], list[Json]]] = {
            "collaboration": lambda: [*map(self._collaboration, self.model.collaborations)],
            "organization": lambda: [
                {"id": each, "name": name, "public_key": public_key(each)}
                for each, name in self.model.organizations.items()
            ],
            "node": lambda: [self._node(each) for each in self.model.collaborations[1].nodes],
            "task": lambda: [
                self._task(task)
                for task in reversed(self.model.tasks.values())
                if "parent_id" not in query
                or (task.parent is not None and task.parent.id == int(query["parent_id"]))
                if "session_id" not in query or task in self._tasks_in(int(query["session_id"]))
            ],
            "algorithmstore": lambda: [
                {"id": 1, "name": "Store", "url": f"{self.url}/store", "api_path": "/api"}
                for _ in self.approved
            ],
            "run": lambda: self._runs(about) if about else [],
            "result": lambda: [
                self._result(task, request)
                for task in [about]
                if task is not None and (task.finished or "finished_till" not in query)
            ],
        }
        size = int(query.get("per_page", 10))
        first = (int(query.get("page", 1)) - 1) * size
        return HTTPStatus.OK, {"data": lists[kind]()[first : first + size]}

    def _collaboration(self, number: int) -> Json:
        found = self.model.collaborations[number]
        return {"id": number, "name": found.name, "encrypted": found.encrypted}

    def _node(self, organization: int) -> Json:
        databases = self.databases.get(organization, {})
        labels = [{"key": "database_labels", "value": label} for label in databases]
        types = [{"key": f"db_type_{name}", "value": kind} for name, kind in databases.items()]
        online = self.model.collaborations[1].nodes[organization]
        return {
            "organization": {"id": organization},
            "status": "online" if online else "offline",
            "config": labels + types,
        }

    def _result(self, task: FakeTask, request: Request) -> Json:
        # What a function that crashed had written is thrown away.
        written = task.result if task.status == "completed" and task.result else b""
        stored = b64encode(written).decode()
        if written and self._encrypted(task.asked.collaboration) and request.container is None:
            stored = sealed(written, _USER["organization"]["id"])
        return {"id": task.run, "run": {"id": task.run}, "result": stored}
