"""Central and stations of different releases of Flower: they need not upgrade together.

That an app ends as natively on each kind of Fleet API is in `test_compat.py`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    APPS,
    Federation,
    attached_federation,
    flower_v6,
    installed,
    run_config,
    run_on,
    superlink,
)

NEWEST = "the installed one"


@pytest.fixture(scope="module")
def natively(native: Federation) -> Any:
    """What an app ends with without the bridge; it uses the API that all releases have."""
    (result,) = run_on([native], "taped", ".json", num_server_rounds=1)
    return json.loads(result.read_text())


def release(name: str, flower: Flower) -> Flower:
    return flower if name == NEWEST else installed(name)


@pytest.mark.parametrize(
    ("central", "stations"),
    [
        # One speaks HTTP, the other gRPC.
        (NEWEST, "1.39.0"),
        ("1.39.0", NEWEST),
        pytest.param(NEWEST, "1.26.1", marks=pytest.mark.thorough),
        pytest.param("1.32.1", NEWEST, marks=pytest.mark.thorough),
        # One creates nodes, the other registers them, too.
        pytest.param("1.22.0", NEWEST, marks=pytest.mark.thorough),
    ],
)
def test_an_app_ends_as_natively_whoever_upgraded_first(
    central: str, stations: str, natively: Any, flower: Flower, tmp_path: Path
) -> None:
    options = ("--flower-env", str(release(stations, flower).folder))
    folder = tmp_path / "federation"
    with attached_federation(release(central, flower), folder, *options) as federation:
        (result,) = run_on([federation], "taped", ".json", num_server_rounds=1)
    assert json.loads(result.read_text()) == natively


@pytest.mark.parametrize(
    ("central", "stations", "spoken"),
    [(NEWEST, "1.18.0", "1.23 and newer"), ("1.18.0", NEWEST, "1.15 to 1.18")],
)
def test_a_pair_that_cannot_work_is_refused_when_it_is_attached(
    central: str, stations: str, spoken: str, flower: Flower, tmp_path: Path
) -> None:
    environment = release(stations, flower)
    with superlink(release(central, flower), tmp_path / "federation") as federation:
        ended = flower_v6(
            *("attach", "--superlink", federation.address),
            *("--flower-env", str(environment.folder)),
        )
    assert ended.returncode == 1
    assert f"A SuperLink of Flower {spoken}" in ended.stderr
    assert f"SuperNodes of Flower {environment.release}" in ended.stderr


def test_a_pair_that_shows_only_with_its_first_message_gets_errors_instead_of_training(
    tmp_path: Path,
) -> None:
    """Flower 1.19 looks like 1.20 to 1.22 until then; its ServerApp reads the errors."""
    options = ("--flower-env", str(installed("1.22.0").folder))
    with attached_federation(installed("1.19.0"), tmp_path, *options) as federation:
        (result,) = run_on([federation], "taped", ".json", num_server_rounds=1)
    assert [each["failures"] for each in json.loads(result.read_text())] == [2, 2]
    (log,) = tmp_path.glob("attach-*.log")
    assert "A SuperLink of Flower 1.19 and SuperNodes of Flower 1.22.0" in log.read_text()


def test_a_reply_that_does_not_come_is_an_error_where_content_is_inline(tmp_path: Path) -> None:
    """What the bridge itself says, in the words of Flower 1.15 to 1.18."""
    result = tmp_path / "result.json"
    ended = flower_v6(
        *("run", str(APPS / "taped"), "--flower-env", str(installed("1.18.0").folder)),
        *("--deadline", "0.1"),
        *("--run-config", run_config(num_server_rounds=1, result=result)),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [each["failures"] for each in json.loads(result.read_text())] == [2, 2]
    # Whoever was first to give up: the station, or on a busy machine the central side.
    assert re.search(r"did not (reply|answer) within", ended.stdout)
