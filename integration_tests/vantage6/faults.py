"""A run of the app `faults` in vantage6, as its researcher and the stations' owners see it.

It is the same in both generations; in vantage6 5 the log comes at the end only.
"""

import json
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from integration_tests.vantage6 import containers
from integration_tests.vantage6 import researcher as researcher_4
from integration_tests.vantage6.command import Collaboration
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.journals import Journals
from integration_tests.vantage6.page import shown
from integration_tests.vantage6_5 import researcher as researcher_5
from integration_tests.vantage6_5 import stack as stack_5

# Much happens in such a run, and some of it at a deadline.
_RUN_SECONDS = 600.0
# Where the containers of a session see what they share (5.0.3, `node/globals.py`).
SESSION_FOLDER = "/app/vantage6/task/session"


class FaultsRun:
    """A run, started at once.

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
    config : dict[str, object] | None
        More of the app's run config.
    central : int | None
        Which of the organizations runs the central function; None for the first that takes part.
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
        central: int | None = None,
        **arguments: object,
    ) -> None:
        self._nodes = [collaboration.nodes[each] for each in stations]
        self._central = collaboration.nodes[stations[0] if central is None else central]
        self._researcher, self.journals = _entered(collaboration, stations)
        self.task = self._researcher.create(
            image,
            "central",
            self._central.organization.id,
            organizations=[node.organization.name for node in self._nodes],
            run_config={
                "num-stations": len(stations),
                "journal": self.journals.path,
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

    def container(self, title: str, station: int) -> Container:
        """Return the container of the newest task "host" or "train 2" at a station."""
        node = self._nodes[station]
        name = f"{title}: {node.organization.name}"
        task = next(each["id"] for each in self.subtasks if each["name"] == name)
        return node.container(self._researcher.run(task)["id"])

    def central_container(self) -> Container:
        """Return the container of the central function."""
        return self._central.container(self._researcher.run(self.task)["id"])

    def containers(self) -> list[Container]:
        """Return all containers that there are of the run."""
        tasks = [self.task, *(task["id"] for task in self.subtasks)]
        runs = {self._researcher.run(task)["id"] for task in tasks}
        return [each for node in self._nodes for each in node.containers() if each.run in runs]

    def give_room(self, station: int, size: str) -> None:
        """Limit what the run can store at a station where nothing of it was started yet."""
        job = self._researcher.get(f"task/{self.task}")["job_id"]
        containers.volume(f"vantage6-{self._nodes[station].name}-user-{job}-tmpvol", size)

    def kill(self) -> None:
        """Have vantage6 kill the run's task."""
        self._researcher.kill(self.task)

    def unfinished(self) -> list[int]:
        """Return the tasks whose runs have no end: in vantage6 5, their results were lost."""
        tasks = [task["id"] for task in self.subtasks]
        return [task for task in tasks if self._researcher.run(task)["finished_at"] is None]

    def status(self, seconds: float = _RUN_SECONDS) -> str:
        """Wait until the run has ended; returns what vantage6 says of its task."""
        return self._researcher.end(self.task, seconds)

    def outcome(self, seconds: float = _RUN_SECONDS) -> dict[str, Any]:
        """Wait until the run has ended; returns its outcome."""
        self._researcher.end(self.task, seconds)
        outcome: dict[str, Any] = self._researcher.result(self.task)
        shown(outcome)
        return outcome


def _entered(
    collaboration: Collaboration, stations: Sequence[int]
) -> tuple[researcher_4.Researcher | researcher_5.Researcher, Journals]:
    """Log in, and make the journals where the run's containers will see them."""
    if isinstance(collaboration, stack_5.Collaboration):
        researcher = researcher_5.Researcher(collaboration)
        nodes = [collaboration.nodes[each] for each in stations]
        folders = [node.session_folder(researcher.session) for node in nodes]
        return researcher, Journals(folders, SESSION_FOLDER)
    nodes_4 = [collaboration.nodes[each] for each in stations]
    return researcher_4.Researcher(collaboration), Journals([node.data for node in nodes_4])


def replies(outcome: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return the stations' replies in a round, as the ServerApp saw them."""
    written = json.loads(b64decode(outcome["files"]["faults-result.json"]))
    found: list[dict[str, Any]] = written["rounds"][number - 1]["replies"]
    return found
