"""Other releases of Flower: those that speak gRPC, and central and stations of different ones.

Each release has an environment of its own beside `.venv`, which is made when it is missing.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from algorithm.flower import Flower
from integration_tests.harness import (
    APPS,
    attached_federation,
    flower_v6,
    run_config,
    run_on,
)

# The newest that speaks gRPC, and one whose SuperLink creates nodes instead of registering them.
GRPC, CREATES_NODES = "1.39.0", "1.22.0"
# What two stations count in one round: each its train message, then its evaluate message.
COUNTED = {"train": {"1": [1, 1]}, "evaluate": {"1": [2, 2]}}


def installed(release: str) -> Flower:
    """Return the environment of a release."""
    folder = Path(__file__).parents[1] / ".venv-flwr" / release
    complete = folder / "installed"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = str(folder / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", f"flwr=={release}", "numpy"], check=True)
        complete.touch()
    return Flower(folder)


def test_an_app_runs_on_a_release_before_nodes_were_registered(tmp_path: Path) -> None:
    result = tmp_path / "counters.json"
    ended = flower_v6(
        *("run", str(APPS / "stateful"), "--flower-env", str(installed(CREATES_NODES).folder)),
        *("--run-config", run_config(num_server_rounds=1, result=result)),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(result.read_text()) == COUNTED


@pytest.mark.parametrize("old_at_the", ["central", "stations"])
def test_central_and_stations_need_not_upgrade_together(
    old_at_the: str, flower: Flower, tmp_path: Path
) -> None:
    """One speaks HTTP, the other gRPC; the bridge is between them anyway."""
    old = installed(GRPC)
    central, stations = (old, flower) if old_at_the == "central" else (flower, old)
    options = ("--flower-env", str(stations.folder))
    with attached_federation(central, tmp_path / "federation", *options) as federation:
        (result,) = run_on([federation], "stateful", ".json", num_server_rounds=1)
    assert json.loads(result.read_text()) == COUNTED
