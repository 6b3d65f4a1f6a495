"""Which replies a run's ServerApp took, and when: what a journal has of that for its next start."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from proxy.journal.journal import Journal


@dataclass(frozen=True)
class Takes:
    """What earlier starts of a ServerApp took; see `algorithm/flower/scripts/takes.py`.

    Attributes
    ----------
    before : Sequence[tuple[int, Sequence[str], bool]]
        Replies, portion by portion: how many messages had been sent by then, the names of those
        that were answered, and whether these replies were waited for in vain.
    late : Mapping[str, float]
        Of messages whose replies had come and were not taken, by name: seconds from one to the
        other.
    note : Callable[[int, Sequence[str], bool], object]
        Hears of another portion.
    """

    before: Sequence[tuple[int, Sequence[str], bool]] = ()
    late: Mapping[str, float] = field(default_factory=dict)
    note: Callable[[int, Sequence[str], bool], object] = lambda *_: None

    @classmethod
    def of(cls, journal: Journal, nodes: Mapping[str, int]) -> Self:
        """Return what the journal's run has of it; `nodes` are the node ids by station."""
        run = journal.history.run
        assert run is not None  # noqa: S101 - it was begun
        taken = {name for _, names, in_vain in run.takes if not in_vain for name in names}
        counts: Counter[str] = Counter()
        late = {}
        for entry in run.entries:
            name = f"{nodes[entry.station]}/{counts[entry.station]}"
            counts[entry.station] += 1
            if entry.is_known and name not in taken:
                late[name] = entry.took
        return cls(run.takes, late, journal.taken)
