"""A run of the app `faults` in vantage6, seen from outside: by its researcher, and at its stations.

Its ClientApps write the id of each message that they train into a journal at their station, and
wait there where the test wants them to: so the test knows when a training is under way.
"""

import itertools
import json
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration_tests.harness import wait_until
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.node import Node
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration

# Much happens in such a run, and some of it at a deadline.
_RUN_SECONDS = 600.0
_runs = itertools.count(1)


class FaultsRun:
    """A run, started at once; the first station's node runs its central function.

    Parameters
    ----------
    collaboration : Collaboration
        Where it runs.
    image : str
        The app's image.
    stations : Sequence[int]
        Which of the collaboration's organizations take part, counted from 0.
    hold : Sequence[tuple[int, int]]
        In which trainings a ClientApp waits to be released: station and round.
    config : dict[str, object]
        More of the app's run config.
    **arguments : object
        Of the central function.
    """

    def __init__(
        self,
        collaboration: Collaboration,
        image: str,
        stations: Sequence[int] = (0, 1, 2),
        hold: Sequence[tuple[int, int]] = (),
        config: dict[str, object] | None = None,
        **arguments: object,
    ) -> None:
        self.nodes = [collaboration.nodes[each] for each in stations]
        self._researcher = Researcher(collaboration)
        self._folder = f"faults-{next(_runs)}"
        for node in self.nodes:
            (node.data / self._folder).mkdir()
        self.task = self._researcher.create(
            image,
            "central",
            self.nodes[0].organization.id,
            organizations=[node.organization.name for node in self.nodes],
            run_config={
                "num-stations": len(stations),
                "journal": f"/mnt/data/{self._folder}/journal",
                "hold": " ".join(f"{station}-{number}" for station, number in hold),
                **(config or {}),
            },
            **arguments,
        )

    @property
    def log(self) -> str:
        """What the central function has printed so far."""
        return str(self._researcher.run(self.task)["log"] or "")

    @property
    def subtasks(self) -> list[dict[str, Any]]:
        """The tasks that the central function has created, the newest first."""
        found: list[dict[str, Any]] = self._researcher.get(
            "task", parent_id=self.task, per_page=100
        )["data"]
        return found

    def await_training(self, station: int, number: int) -> None:
        """Wait until a station trains in a round."""
        wanted = [str(station), str(number)]
        wait_until(
            lambda: any(line[1:] == wanted for line in self._journal(station)),
            f"station {station} trains in round {number}",
        )

    def release(self, station: int, number: int) -> None:
        """Let a ClientApp that waits in its training go on."""
        (self._folder_at(self.nodes[station]) / f"{station}-{number}.go").touch()

    def subtask(self, title: str, station: int) -> int:
        """Return the newest task with a title, "host" or "train 2", at a station."""
        name = f"{title}: {self.nodes[station].organization.name}"
        return int(next(task["id"] for task in self.subtasks if task["name"] == name))

    def container(self, title: str, station: int) -> Container:
        """Return the container of such a task."""
        run = self._researcher.run(self.subtask(title, station))
        return self.nodes[station].container(run["id"])

    def central_container(self) -> Container:
        """Return the container of the central function."""
        return self.nodes[0].container(self._researcher.run(self.task)["id"])

    def containers(self) -> list[Container]:
        """Return all containers that there are of the run."""
        tasks = [self.task, *(task["id"] for task in self.subtasks)]
        runs = {self._researcher.run(task)["id"] for task in tasks}
        return [each for node in self.nodes for each in node.containers() if each.run in runs]

    def kill(self) -> None:
        """Have vantage6 kill the run's task."""
        self._researcher.kill(self.task)

    def outcome(self) -> dict[str, Any]:
        """Wait until the run has ended; returns its outcome."""
        self._researcher.end(self.task, _RUN_SECONDS)
        outcome: dict[str, Any] = self._researcher.result(self.task)
        return outcome

    def trained(self) -> list[str]:
        """Return the ids of the messages that were trained, at all stations."""
        return [line[0] for station in range(len(self.nodes)) for line in self._journal(station)]

    def _journal(self, station: int) -> list[list[str]]:
        path = self._folder_at(self.nodes[station]) / "journal"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def _folder_at(self, node: Node) -> Path:
        return node.data / self._folder


def replies(outcome: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return the stations' replies in a round, as the ServerApp saw them."""
    written = json.loads(b64decode(outcome["files"]["faults-result.json"]))
    found: list[dict[str, Any]] = written["rounds"][number - 1]["replies"]
    return found
