"""The entry that `flower-v6 image` writes is one that a real algorithm store takes."""

import json
import subprocess
from typing import Any

import pytest

from algorithm.flower.manifest import Manifest
from algorithm.image.store_entry import store_entry
from integration_tests.vantage6 import program

MANIFEST = Manifest("me", "app", "1.0", "1.41.0", "0" * 64, {}, ["rounds"], "loss")
# What the store does with a `POST /algorithm` (4.15, `resource/algorithm.py`).
VALIDATE = """
import json, sys
from vantage6.algorithm.store.resource.schema.input_schema import AlgorithmInputSchema
print(json.dumps(AlgorithmInputSchema().validate(json.load(sys.stdin))))
"""


def errors_in(entry: dict[str, Any]) -> Any:
    """Return what the store has against an entry."""
    if not program.PYTHON.exists():
        pytest.skip("there is no .venv-vantage6: `make .venv-vantage6/installed` makes it")
    asked = subprocess.run(
        [program.PYTHON, "-P", "-c", VALIDATE],
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
    assert errors_in(store_entry("registry.example/app:1", MANIFEST, {"project": project})) == {}


def test_the_store_would_say_what_is_wrong_with_one() -> None:
    entry = store_entry("registry.example/app:1", MANIFEST, {"project": {}})
    del entry["functions"][0]["ui_visualizations"][2]["schema"]["x"]
    assert "functions" in errors_in(entry)
