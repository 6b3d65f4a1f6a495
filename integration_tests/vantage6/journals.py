"""What the ClientApps of the app `faults` write at their stations, and what they wait for there.

Each writes the id of a message that it trains into its station's journal, and in some rounds it
waits then to be released: so a test knows that a training is under way.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from integration_tests.harness import wait_until

# Before the first training containers, a SuperLink and SuperNodes have to start.
_TRAINING_SECONDS = 300.0
_runs = itertools.count(1)


class Journals:
    """The journals of one run.

    Parameters
    ----------
    folders : Sequence[Path]
        Of the stations, in the order of their partitions: what their containers share.
    seen_at : str
        Where containers see them.
    """

    def __init__(self, folders: Sequence[Path], seen_at: str = "/mnt/data") -> None:
        name = f"faults-{next(_runs)}"
        self.path = f"{seen_at}/{name}/journal"
        self._folders = [folder / name for folder in folders]
        for folder in self._folders:
            folder.mkdir(parents=True)

    @property
    def files(self) -> list[Path]:
        """The journals; there is none yet where nothing was trained."""
        return [folder / "journal" for folder in self._folders]

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
