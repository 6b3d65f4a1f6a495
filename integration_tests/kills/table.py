"""What came of all kills."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from integration_tests.kills.rules import Broken, Kill


class Table:
    """Says what comes of each run, and at the end of all kills.

    Parameters
    ----------
    wanted : int
        How many kills there are to be.
    """

    def __init__(self, wanted: int) -> None:
        self.runs = 0
        self._wanted = wanted
        self._killed = self._broken = 0
        self._rows: Counter[tuple[str, str, str]] = Counter()

    @property
    def complete(self) -> bool:
        """Whether there were enough."""
        return self._killed >= self._wanted

    def add(self, title: str, kills: Sequence[Kill]) -> None:
        """Take a run in which all rules held."""
        self.runs += 1
        self._killed += len(kills)
        self._rows.update((each.kind, title, each.outcome) for each in kills)
        print(f"{self.runs} ({title}), {self._killed} of {self._wanted}:{told(kills)}", flush=True)

    def add_broken(self, title: str, broken: Broken, folder: Path) -> None:
        """Take a run in which a rule was broken."""
        self.runs += 1
        self._broken += 1
        print(f"BROKEN {self.runs} ({title}), see {folder}: {broken}", flush=True)

    def show(self) -> int:
        """Print it; returns the exit code."""
        print("\n| Killed | In | What came of it | Times |\n|---|---|---|---|")
        for row, times in sorted(self._rows.items()):
            print(f"| {' | '.join(row)} | {times} |")
        print(f"\n{self._killed} kills in {self.runs} runs, {self._broken} of them broken")
        return int(self._broken > 0)


def told(kills: Sequence[Kill]) -> str:
    """Return the kills in some lines."""
    return "".join(
        f"\n  {each.kind} {each.moment}, round {each.at_round}: {each.outcome}" for each in kills
    )
