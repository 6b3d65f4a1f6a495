"""An algorithm store, which a collaboration of a real vantage6 knows."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from integration_tests.harness import free_port
from integration_tests.vantage6.program import Program
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.server import logging_settings
from integration_tests.vantage6.stack import Collaboration

_TIMEOUT_SECONDS = 60.0
_ANSWERS_WITHIN_SECONDS = 5.0


@contextmanager
def store_of(collaboration: Collaboration, folder: Path, entry: Mapping[str, Any]) -> Iterator[str]:
    """Have a store for a while that has approved an algorithm; yields its API's address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    config = folder / "store.yaml"
    config.write_text(
        json.dumps(
            {
                "description": "",
                "ip": "127.0.0.1",
                "port": port,
                "allow_drop_all": False,
                "api_path": "/api",
                "uri": f"sqlite:///{folder / 'store.sqlite'}",
                "root_user": {
                    "v6_server_uri": collaboration.url,
                    "username": collaboration.username,
                    "organization_id": collaboration.organizations[0].id,
                },
                "policies": {"allow_localhost": True},
                # It asks a server at this machine's own address only if it is told where that is.
                "dev": {"disable_review": True, "host_uri": "127.0.0.1"},
                "logging": {**logging_settings(), "file": "store.log"},
            }
        )
    )
    store = Program("run_store.py", [str(config), str(port)], folder)
    store.start()
    try:
        store.wait_until(lambda: _answers(url), "the algorithm store answers")
        researcher = Researcher(collaboration)
        added = researcher.post(
            "algorithmstore",
            name="Store",
            algorithm_store_url=url,
            server_url=collaboration.url,
            collaboration_id=collaboration.id,
            force=True,
        )
        submitted = requests.post(
            f"{url}/algorithm",
            json=dict(entry),
            headers={**researcher.headers, "Server-Url": collaboration.url},
            timeout=_TIMEOUT_SECONDS,
        )
        assert submitted.ok, submitted.text
        yield url
        researcher.delete(f"algorithmstore/{added['id']}?server_url={collaboration.url}")
    finally:
        store.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/version", timeout=_ANSWERS_WITHIN_SECONDS).ok
    except requests.RequestException:
        return False
