"""An algorithm store, which a collaboration of a real vantage6 5 knows."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from integration_tests.harness import free_port
from integration_tests.vantage6.server import logging_settings
from integration_tests.vantage6_5.keycloak import ADMIN_CLIENT
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.services import BIN, Service
from integration_tests.vantage6_5.stack import Stack

_TIMEOUT_SECONDS = 60.0
_API_PATH = "/api"
_SCRIPTS = "/mnt/scripts"


@contextmanager
def store_in(stack: Stack, folder: Path, entry: Mapping[str, Any]) -> Iterator[None]:
    """Have a store for a while that the plain collaboration knows, and that has an algorithm.

    The robot is its user, as whoever names a store in a task has to be (5.0.3).
    """
    plain, port, realm = stack.plain, free_port(), stack.keycloak.realm
    address = f"http://127.0.0.1:{port}"
    config = folder / "store.yaml"
    settings = {
        "api_path": _API_PATH,
        "port": port,
        "uri": stack.postgresql.create(f"store_{secrets.token_hex(4)}"),
        # As Keycloak calls the user of a service account.
        "root_user": {"username": f"service-account-{plain.robot.username}-user-client"},
        "dev": {"disable_review": True},
        "logging": {**logging_settings(), "file": "store.log"},
    }
    config.write_text(json.dumps(settings))
    store = Service(
        f"{stack.session}-store",
        [f"{BIN}/python", "-P", "-u", f"{_SCRIPTS}/serve_store.py", "/mnt/store.yaml", str(port)],
        {config: "/mnt/store.yaml:ro", Path(__file__).parent: f"{_SCRIPTS}:ro"},
        {
            "KEYCLOAK_URL": realm.url,
            "KEYCLOAK_REALM": realm.name,
            "KEYCLOAK_ADMIN_USERNAME": "admin",
            "KEYCLOAK_ADMIN_PASSWORD": secrets.token_urlsafe(),
            "KEYCLOAK_ADMIN_CLIENT": ADMIN_CLIENT,
            "KEYCLOAK_ADMIN_CLIENT_SECRET": stack.keycloak.admin_secret,
        },
    )
    try:
        store.start()
        store.wait_until(lambda: _answers(f"{address}{_API_PATH}"), "the algorithm store answers")
        researcher = Researcher(plain)
        added = researcher.post(
            "algorithmstore",
            name="Store",
            algorithm_store_url=address,
            api_path=_API_PATH,
            collaboration_id=plain.id,
        )
        submitted = requests.post(
            f"{address}{_API_PATH}/algorithm",
            json=dict(entry),
            headers={"Authorization": f"Bearer {plain.robot.token(stack.keycloak)}"},
            timeout=_TIMEOUT_SECONDS,
        )
        assert submitted.ok, submitted.text
        yield
        researcher.delete(f"algorithmstore/{added['id']}")
    finally:
        store.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/version", timeout=_TIMEOUT_SECONDS).ok
    except requests.RequestException:
        return False
