"""In vantage6, the owner of a node says how a ClientApp finds its station called."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from algorithm.flower.node_config import STATION_NAME_VARIABLE
from integration_tests.harness import run_config
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import submit
from integration_tests.vantage6.stack import Collaboration


@pytest.mark.thorough
@pytest.mark.parametrize("supernodes", ["warm", "per-round"])
def test_a_station_has_the_name_that_its_owner_gave_it_and_else_none(
    plain: Collaboration, image_of: ImageOf, tmp_path: Path, supernodes: str
) -> None:
    named, unnamed = plain.nodes[:2]
    settings = replace(named.settings, algorithm_env={STATION_NAME_VARIABLE: "Harbor, 2nd floor"})
    with named.configured(settings):
        submission = submit(
            plain,
            image_of("nosy"),
            tmp_path,
            *("--organizations", named.organization.name, unnamed.organization.name),
            *("--mode", "direct", "--supernodes", supernodes),
            *("--run-config", run_config(num_stations=2, result="nosy.json")),
        )
    assert submission.exit_code == 0, submission.log_tail(40)
    stations = json.loads((tmp_path / "nosy.json").read_text())["stations"]
    assert {each["config partition-id"]: each.get("config station-name") for each in stations} == {
        "0": "Harbor, 2nd floor",
        "1": None,
    }
