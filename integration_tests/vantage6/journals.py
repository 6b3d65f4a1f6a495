"""What the ClientApps of the app `faults` write at their stations, and what they wait for there.

Each writes the id of a message that it trains into its station's journal, and in some rounds it
waits then to be released: so a test knows that a training is under way.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from integration_tests.harness import wait_until
from integration_tests.vantage6.node import Node

# Before the first training containers, a SuperLink and SuperNodes have to start.
_TRAINING_SECONDS = 300.0
_runs = itertools.count(1)


class Journals:
    """The journals of one run.

    Parameters
    ----------
    nodes : Sequence[Node]
        Of the stations, in the order of their partitions; each was online before.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        name = f"faults-{next(_runs)}"
        self.path = f"/mnt/data/{name}/journal"
        self._folders = [node.data / name for node in nodes]
        for folder in self._folders:
            folder.mkdir()

    def await_training(self, station: int, number: int) -> None:
        """Wait until a station trains in a round."""
        wanted = [str(station), str(number)]
        wait_until(
            lambda: any(line[1:] == wanted for line in self._lines(self._folders[station])),
            f"station {station} trains in round {number}",
            _TRAINING_SECONDS,
        )

    def release(self, station: int, number: int) -> None:
        """Let a ClientApp that waits in its training go on."""
        (self._folders[station] / f"{station}-{number}.go").touch()

    def trained(self) -> list[str]:
        """Return the ids of the messages that were trained, at all stations."""
        return [line[0] for folder in self._folders for line in self._lines(folder)]

    @staticmethod
    def _lines(folder: Path) -> list[list[str]]:
        path = folder / "journal"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []
