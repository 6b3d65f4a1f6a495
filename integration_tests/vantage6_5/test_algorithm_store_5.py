"""The entry that `flower-v6 image` writes for vantage6 5 is one that its algorithm store takes."""

import json
import os
import subprocess
from typing import Any

import pytest

from algorithm.flower.manifest import Manifest
from algorithm.image.store_entry import store_entry
from algorithm.image.store_entry_5 import entry_for_5
from integration_tests.vantage6 import containers
from integration_tests.vantage6_5.services import BIN, image

MANIFEST = Manifest("me", "app", "1.0", "1.41.0", "0" * 64, {}, ["rounds"])
# What the store does with a `POST /algorithm` (5.0.3, `resource/algorithm.py`).
VALIDATE = """
import json, sys
from vantage6.algorithm.store.resource.schema.input_schema import AlgorithmInputSchema
print(json.dumps(AlgorithmInputSchema().validate(json.load(sys.stdin))))
"""


def errors_in(entry: dict[str, Any]) -> Any:
    """Return what the store has against an entry."""
    if reason := containers.unusable():
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    command = ["docker", "run", "--rm", "--interactive", "--network", "none", image()]
    asked = subprocess.run(
        [*command, f"{BIN}/python", "-c", VALIDATE],
        input=json.dumps(entry),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "project", [{}, {"description": "Counts", "urls": {"Source": "https://x"}}]
)
def test_the_store_takes_the_entry(project: dict[str, Any]) -> None:
    entry = entry_for_5(store_entry("registry.example/app:1", MANIFEST, {"project": project}))
    assert errors_in(entry) == {}


def test_the_store_does_not_take_the_entry_for_vantage6_4() -> None:
    assert "functions" in errors_in(
        store_entry("registry.example/app:1", MANIFEST, {"project": {}})
    )
