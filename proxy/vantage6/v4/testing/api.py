"""What a server answers to a request. Seen on vantage6 4.15.2."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from proxy.vantage6.testing.keys import public_key, sealed, unsealed
from proxy.vantage6.testing.model import Asked, FakeTask, Model
from proxy.vantage6.testing.serving import Answer, Json, Request

_MAX_DESCRIPTION = 1024
_REFUSED = HTTPStatus.BAD_REQUEST
_USER: Json = {"id": 1, "organization": {"id": 1}}


@dataclass
class Api:
    """Answers requests; the user's credentials may be changed."""

    model: Model
    password: str
    mfa_code: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    def answer(self, request: Request) -> Answer:
        """Answer a request; the status is 404 if there is nothing like it."""
        match request.method, request.path.split("/"):
            case "GET", ["version"]:
                answer: Answer = (HTTPStatus.OK, {"version": "4.15.2"})
            case "POST", ["token", which]:
                answer = self._log_in(request.body) if which == "user" else self._refresh(request)
            case _ if request.container is None and self.tokens.get(request.token) != "access":
                answer = HTTPStatus.UNAUTHORIZED, {"msg": "Token has expired"}
            case "POST", ["token", "user", "validate"]:
                answer = HTTPStatus.OK, {"organization_id": _USER["organization"]["id"]}
            case "POST", ["task"]:
                answer = self._post_task(request)
            case "POST", ["kill", "task"] if request.container is None:
                answer = self._kill(request.body["id"])
            case "GET", [kind, number, *more]:
                answer = self._one(kind, int(number), bool(more))
            case "GET", [kind]:
                answer = self._list(kind, request)
            case _:
                answer = HTTPStatus.NOT_FOUND, {"msg": "Not found"}
        return answer

    def _log_in(self, body: Json) -> Answer:
        if (body["username"], body["password"]) != ("ada", self.password):
            return HTTPStatus.UNAUTHORIZED, {"msg": "Failed to login"}
        if self.mfa_code and not body.get("mfa_code"):
            return HTTPStatus.OK, {"msg": "Please include your two-factor authentication code"}
        if self.mfa_code and body["mfa_code"] != self.mfa_code:
            message = "Your two-factor authentication code is incorrect!"
            return HTTPStatus.UNAUTHORIZED, {"msg": message}
        return HTTPStatus.OK, self._new_tokens()

    def _refresh(self, request: Request) -> Answer:
        if self.tokens.get(request.token) != "refresh":
            return HTTPStatus.UNAUTHORIZED, {"msg": "Token has expired"}
        return HTTPStatus.OK, self._new_tokens()

    def _new_tokens(self) -> Json:
        new = {kind: f"{kind} {len(self.tokens)}" for kind in ("access", "refresh")}
        self.tokens |= {token: kind for kind, token in new.items()}
        return {f"{kind}_token": token for kind, token in new.items()} | {
            "refresh_url": "/api/token/refresh",
            "user_url": "/api/user/1",
        }

    def _post_task(self, request: Request) -> Answer:
        body = request.body
        found = self.model.collaborations.get(body["collaboration_id"])
        if found is None:
            message = f"Collaboration id={body['collaboration_id']} not found!"
            return HTTPStatus.NOT_FOUND, {"msg": message}
        if refusal := self._refusal(request):
            return _REFUSED, refusal
        [organization] = body["organizations"]
        parent = self.model.tasks[request.container["task_id"]] if request.container else None
        if found.encrypted and parent is None:  # for containers, their node's proxy encrypts
            read = unsealed(organization["input"], organization["id"])
        else:
            read = b64decode(organization["input"], validate=True)
        asked = Asked(
            body["name"],
            body["image"],
            body["collaboration_id"],
            organization["id"],
            json.loads(read),
            body.get("description", ""),
            tuple(each["label"] for each in body.get("databases", [])),
        )
        return HTTPStatus.CREATED, _task(self.model.create(asked, parent))

    def _refusal(self, request: Request) -> Json | None:
        body = request.body
        found = self.model.collaborations[body["collaboration_id"]]
        [organization] = body["organizations"]
        message = ""
        if len(body.get("description", "")) > _MAX_DESCRIPTION:
            errors = {"description": ["Longer than maximum length 1024."]}
            return {"msg": "Request body is incorrect", "errors": errors}
        if organization["id"] not in found.organizations:
            message = "At least one of the supplied organizations in not within the collaboration."
        elif organization["id"] not in found.nodes:
            message = (
                "Cannot create this task because there are no nodes registered for the following"
                f" organization(s): {organization['id']}."
            )
        elif request.container is not None:
            parent = self.model.tasks[request.container["task_id"]]
            if parent.ended or parent.asked.image != body["image"]:
                message = "Container-token is not valid"
        elif found.encrypted and "$" not in organization["input"]:
            message = "Your collaboration requires encryption, but input is not encrypted!"
        return {"msg": message} if message else None

    def _kill(self, number: int) -> Answer:
        task = self.model.tasks.get(number)
        if task is None:
            return HTTPStatus.NOT_FOUND, {"msg": f"Task id={number} not found"}
        if task.ended:
            message = f"Task {number} already finished with status '{task.status}'"
            return _REFUSED, {"msg": message}
        self.model.kill(task)
        return HTTPStatus.OK, {"msg": "Nodes have been instructed to kill any containers running"}

    def _one(self, kind: str, number: int, only_status: bool) -> Answer:
        found: Json | None = None
        if kind == "task" and (task := self.model.tasks.get(number)):
            found = {"status": task.status} if only_status else _task(task)
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
        dates = {key: value for key, value in request.query.items() if key == "finished_till"}
        asked = {k: int(value) for k, value in request.query.items() if k not in dates}
        about = asked.get("task_id", asked.get("parent_id"))
        if about is not None and about not in self.model.tasks:
            return _REFUSED, {"msg": f"Task id={about} does not exist!"}
        if kind == "node" and request.container is not None:
            return HTTPStatus.UNAUTHORIZED, {"msg": "You lack the permission to do that!"}
        lists: dict[str, Callable[[], list[Json]]] = {
            "collaboration": lambda: [*map(self._collaboration, self.model.collaborations)],
            "organization": lambda: self._organizations(asked),
            "node": lambda: self._nodes(asked["collaboration_id"]),
            "task": lambda: self._tasks(asked.get("parent_id")),
            "run": lambda: [self._run(self.model.tasks[asked["task_id"]])],
            "result": lambda: [
                self._result(task, request)
                for task in [self.model.tasks[asked["task_id"]]]
                if task.finished or not dates
            ],
        }
        size = asked.get("per_page", 10)
        first = (asked.get("page", 1) - 1) * size
        return HTTPStatus.OK, {"data": lists[kind]()[first : first + size]}

    def _collaboration(self, number: int) -> Json:
        found = self.model.collaborations[number]
        return {"id": number, "name": found.name, "encrypted": found.encrypted}

    def _organizations(self, asked: Mapping[str, int]) -> list[Json]:
        if "study_id" in asked:
            ids = self.model.studies[asked["study_id"]]
        else:
            ids = self.model.collaborations[asked["collaboration_id"]].organizations
        return [
            {"id": each, "name": self.model.organizations[each], "public_key": public_key(each)}
            for each in ids
        ]

    def _nodes(self, collaboration: int) -> list[Json]:
        return [
            {"organization": {"id": each}, "status": "online" if online else "offline"}
            for each, online in self.model.collaborations[collaboration].nodes.items()
        ]

    def _tasks(self, parent: int | None) -> list[Json]:
        newest_first = reversed(self.model.tasks.values())
        return [
            _task(task)
            for task in newest_first
            if parent is None or (task.parent is not None and task.parent.id == parent)
        ]

    def _run(self, task: FakeTask) -> Json:
        online = "online" if self.model.node_online(task) else "offline"
        return {
            "organization": {"id": task.asked.organization},
            "node": {"id": task.asked.organization, "status": online},
            "id": task.run,
            "status": task.status,
            "input": b64encode(json.dumps(task.input).encode()).decode(),
            "log": task.log or None,
        }

    def _result(self, task: FakeTask, request: Request) -> Json:
        stored = None if task.result is None else b64encode(task.result).decode()
        encrypted = self.model.collaborations[task.asked.collaboration].encrypted
        if task.result is not None and encrypted and request.container is None:
            stored = sealed(task.result, _USER["organization"]["id"])
        about: Json = {"run": {"id": task.run}, "task": {"id": task.id}, "id": task.run}
        return about | {"result": stored, "blob_storage_used": False}


def _task(task: FakeTask) -> Json:
    first = task if task.parent is None else task.parent
    return {
        "status": task.status,
        "collaboration": {"id": task.asked.collaboration},
        "parent": None if task.parent is None else {"id": task.parent.id},
        "init_org": _USER["organization"],
        "databases": [{"label": label, "parameters": "{}"} for label in task.asked.databases],
        "id": task.id,
        "name": task.asked.name,
        "description": task.asked.description,
        "image": task.asked.image,
        "job_id": first.id,
    }
