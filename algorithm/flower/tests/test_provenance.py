"""What a run was made of is read from where it is, whatever stands there."""

import math
from pathlib import Path

import pytest

from algorithm.flower.provenance import machine, packages_in, run_config_of

APP = """
[tool.flwr.app.config]
rounds = 3
rate = 0.1
name = "a"
deep.key = true
since = 2026-01-01
"""


def test_a_run_config_is_the_apps_own_with_what_overrides_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(APP)
    found = run_config_of(tmp_path, {"rate": math.inf, "name": "b"})
    assert found == {"rounds": 3, "rate": "inf", "name": "b", "deep.key": True}


@pytest.mark.parametrize(
    "project", [None, "", "[tool]", "tool = 1", "no TOML", "[tool.flwr]\napp=1"]
)
def test_a_folder_that_is_no_app_has_no_run_config(project: str | None, tmp_path: Path) -> None:
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(project)
    assert run_config_of(tmp_path, {}) == {}


def test_packages_have_their_releases(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.12/site-packages"
    for name in ("torch-2.13.0", "ruamel_yaml-0.18", "nameless"):
        (site / f"{name}.dist-info").mkdir(parents=True)
    (site / "torch").mkdir()
    assert packages_in(tmp_path) == {"ruamel_yaml": "0.18", "torch": "2.13.0"}


def test_a_machine_says_what_it_is() -> None:
    found = machine()
    assert found.keys() == {"python", "system", "machine", "processors"}
    assert all(found.values())
