"""A SuperLink that keeps its state in a database, as one for daily use does."""

import json
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import finish, installed, superlink
from integration_tests.test_journal import attached


class FlowerWithDatabase(Flower):
    """Starts SuperLinks that have a file as their database."""

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return a command line; the SuperLink's with its database."""
        if program == "flower-superlink":
            arguments = (*arguments, "--database", str(self._database))
        return super().command(program, *arguments)

    def __init__(self, folder: Path, database: Path) -> None:
        super().__init__(folder)
        self._database = database


@pytest.mark.parametrize(
    "release",
    [
        "",
        *(
            pytest.param(each, marks=pytest.mark.thorough)
            for each in ("1.22.0", "1.26.1", "1.32.0", "1.36.0", "1.39.0")
        ),
    ],
)
def test_each_message_is_trained_and_answered_once(
    flower: Flower, tmp_path: Path, release: str
) -> None:
    found = installed(release) if release else flower
    kept, result = FlowerWithDatabase(found.folder, tmp_path / "state.db"), tmp_path / "result.json"
    trained = tmp_path / "trained"
    with superlink(kept, tmp_path / "superlink") as federation, attached(federation, tmp_path):
        finish(
            federation.submit(
                *("faults",), result=result, journal=trained, num_stations=1, num_server_rounds=2
            )
        )
    rounds = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for each in rounds for reply in each["replies"]] == [None, None]
    assert len(trained.read_text().splitlines()) == 2
