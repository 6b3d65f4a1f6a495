"""The researcher's commands against a real vantage6 5, beside those that run an app."""

import re
from pathlib import Path

import pytest

from algorithm.flower.manifest import Manifest
from algorithm.image.store_entry import store_entry
from algorithm.image.store_entry_5 import entry_for_5
from integration_tests.vantage6.command import flower_v6, login
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.stack import Stack
from integration_tests.vantage6_5.store import store_in

_IMAGE = "flower-v6.invalid/app:1.0"
_MANIFEST = Manifest("me", "app", "1.0", "1.41.0", "0" * 64, {}, [], "loss")


@pytest.mark.thorough
def test_a_task_names_the_algorithm_store_that_has_its_image(
    vantage6_5: Stack, tmp_path: Path
) -> None:
    plain = vantage6_5.plain
    entry = entry_for_5(store_entry(_IMAGE, _MANIFEST, {"project": {}}))
    stores = []
    with store_in(vantage6_5, tmp_path, entry):
        for image in (_IMAGE, "flower-v6.invalid/another:1.0"):
            ended = flower_v6(login(plain), "submit", image, "--detach")
            assert ended.returncode == 0, ended.stderr
            number = re.search(r"task (\d+) is submitted", ended.stdout)
            assert number is not None
            researcher = Researcher(plain)
            stores.append(researcher.get(f"task/{number[1]}")["algorithm_store"])
            researcher.delete(f"task/{number[1]}")
    assert [each is not None for each in stores] == [True, False]
