"""The server of the unit tests (`proxy.vantage6.v4.testing`) answers as a real one does."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

from integration_tests.vantage6.registration import Administrator
from integration_tests.vantage6.stack import Stack
from proxy.vantage6.v4.testing import FakeServer

_INPUT = b64encode(b'{"method": "central"}').decode()
_MISSING = 9999


@dataclass(frozen=True)
class World:
    """A server with a plain and an encrypted collaboration, and one that has no nodes."""

    url: str
    username: str
    password: str
    plain: int
    encrypted: int
    without_nodes: int
    organization: int


def answers(world: World) -> Iterator[tuple[str, int, Any]]:
    """Ask a server for all that the bridge asks for; yields question, status and answer."""
    session = requests.Session()

    def ask(method: str, path: str, body: object = None) -> tuple[str, int, Any]:
        response = session.request(method, f"{world.url}/{path}", json=body, timeout=60)
        return f"{method} {path}", response.status_code, response.json()

    def task(collaboration: int, organization: int, **more: object) -> dict[str, object]:
        return {
            "name": "a task",
            "image": "an/image",
            "collaboration_id": collaboration,
            "organizations": [{"id": organization, "input": _INPUT}],
            "databases": [{"label": "default"}],
            **more,
        }

    own = {"username": world.username, "password": world.password}
    yield ask("GET", "task/1")
    yield ask("POST", "token/user", {**own, "password": "wrong"})
    _, _, login = found = ask("POST", "token/user", own)
    yield found
    session.headers["Authorization"] = f"Bearer {login['refresh_token']}"
    yield ask("POST", "token/refresh")
    session.headers["Authorization"] = f"Bearer {login['access_token']}"
    yield ask("POST", "token/user/validate")

    for body in (
        task(_MISSING, world.organization),
        task(world.plain, _MISSING),
        task(world.without_nodes, world.organization),
        task(world.encrypted, world.organization),
        task(world.plain, world.organization, description="d" * 1025),
    ):
        yield ask("POST", "task", body)
    _, _, made = found = ask("POST", "task", task(world.plain, world.organization))
    yield found

    for number in (made["id"], _MISSING):
        yield ask("GET", f"task/{number}")
        yield ask("GET", f"task/{number}/status")
        yield ask("GET", f"task?parent_id={number}")
        _, _, runs = found = ask("GET", f"run?task_id={number}")
        yield found
        yield ask("GET", f"run/{runs['data'][0]['id'] if 'data' in runs else _MISSING}")
        yield ask("GET", f"result?task_id={number}")
        yield ask("GET", f"result?task_id={number}&finished_till=9999-12-31")
        yield ask("POST", "kill/task", {"id": number})
        yield ask("POST", "kill/task", {"id": number})
        yield ask("GET", f"result?task_id={number}&finished_till=9999-12-31")
        yield ask("DELETE", f"task/{number}")
        yield ask("GET", f"task/{number}")
    yield ask("GET", f"algorithmstore?collaboration_id={world.plain}")
    for number in (world.plain, _MISSING):
        yield ask("GET", f"collaboration/{number}")
    yield ask("GET", "collaboration?page=1&per_page=2")
    yield ask("GET", "collaboration?page=9&per_page=2")
    yield ask("GET", f"organization?collaboration_id={world.plain}")
    yield ask("GET", f"node?collaboration_id={world.plain}")


def covers(real: Any, fake: Any) -> bool:
    """Return whether a real answer has all that a feigned one has."""
    if isinstance(fake, dict):
        return isinstance(real, dict) and all(
            key in real and covers(real[key], value) and (key != "status" or real[key] == value)
            for key, value in fake.items()
        )
    if isinstance(fake, list):
        return isinstance(real, list) and all(map(covers, real, fake)) and len(real) == len(fake)
    return type(real) is type(fake)


def test_the_fake_answers_what_a_real_server_answers(vantage6: Stack) -> None:
    organizations = vantage6.plain.organizations
    administrator = Administrator(vantage6.server.url)

    def collaboration(name: str, encrypted: bool, with_nodes: bool) -> int:
        """Make one whose nodes never start."""
        number = administrator.collaboration(name, organizations, encrypted)
        for each in organizations if with_nodes else ():
            administrator.node(f"{name} {each.id}", each, number)
        return number

    real = World(
        vantage6.server.url,
        vantage6.plain.username,
        vantage6.plain.password,
        collaboration("fake, plain", encrypted=False, with_nodes=True),
        collaboration("fake, encrypted", encrypted=True, with_nodes=True),
        collaboration("fake, without nodes", encrypted=False, with_nodes=False),
        organizations[0].id,
    )
    with FakeServer() as fake:
        encrypted, without_nodes = (
            fake.add_collaboration(name, [1, 2, 3], name == "encrypted")
            for name in ("encrypted", "without nodes")
        )
        fake.collaborations[without_nodes].nodes.clear()
        for number in (1, 2, 3):
            fake.set_node(number, online=False)
        ada = ("ada", fake.api.password)
        feigned = World(fake.url, *ada, 1, encrypted, without_nodes, organization=1)
        pairs = list(zip(answers(real), answers(feigned), strict=True))
    for (question, status, answer), (_, fake_status, fake_answer) in pairs:
        assert fake_status == status, (question, answer, fake_answer)
        assert covers(answer, fake_answer), (question, answer, fake_answer)
