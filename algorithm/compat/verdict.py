"""What `flower-v6 compat` found out about releases: as a table, and for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from algorithm.compat.wheel.static import Change
from proxy import __version__


@dataclass
class Verdict:
    """What was found out about one release.

    Attributes
    ----------
    release : str
        The release.
    era : str
        The first release of its era; empty if it has none.
    transport : str
        How its Fleet API is reached.
    changes : list[Change]
        How it differs from what the bridge relies on, and from the release before.
    tried : bool
        Whether an app ran on it natively, bridged, and in direct mode if there is one.
    failure : str
        Why the release cannot be used, beyond what is in `changes`: it is refused, or what went
        wrong when it was tried.
    direct_reasons : list[str] | None
        Why the direct mode cannot use the release; None if there is no direct mode for it.
    """

    release: str
    era: str = ""
    transport: str = ""
    changes: list[Change] = field(default_factory=list)
    tried: bool = False
    failure: str = ""
    direct_reasons: list[str] | None = None

    @property
    def reasons(self) -> list[str]:
        """Why the bridge cannot use the release; empty if it can."""
        broken = [change.what for change in self.changes if change.breaks]
        return [*broken, self.failure] if self.failure else broken

    @property
    def status(self) -> str:
        """`works` (it was tried), `fits` (it should), `broken`, or `refused`."""
        if self.reasons:
            return "broken" if self.era else "refused"
        return self._fine

    @property
    def direct(self) -> str:
        """The same of the direct mode; `none` if there is none for the release."""
        if self.direct_reasons is None:
            return "none"
        return "broken" if self.direct_reasons else self._fine

    @property
    def _fine(self) -> str:
        return "works" if self.tried else "fits"


HEADING = f"{'release':<18} {'era':<6} {'transport':<10} {'bridge':<8} direct"


def lines(verdict: Verdict) -> list[str]:
    """Return a table's row for people, and below it all that changed."""
    return [
        f"{verdict.release:<18} {verdict.era:<6} {verdict.transport:<10} {verdict.status:<8}"
        f" {verdict.direct}",
        *(f"    BREAKS: {reason}" for reason in verdict.reasons),
        *(f"    BREAKS the direct mode: {reason}" for reason in verdict.direct_reasons or ()),
        *(f"    {change.what}" for change in verdict.changes if not change.breaks),
    ]


def encode(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as JSON."""
    releases = [
        {"status": verdict.status, "direct": verdict.direct, **asdict(verdict)}
        for verdict in verdicts
    ]
    return json.dumps({"bridge_release": __version__, "releases": releases}, indent=1)


def decode(text: str) -> list[Verdict]:
    """Return what `encode` made JSON of."""
    releases = json.loads(text)["releases"]
    return [
        Verdict(
            **{
                name: members[name]
                for name in (
                    *("release", "era", "transport", "tried", "failure", "direct_reasons"),
                )
            },
            changes=[Change(**change) for change in members["changes"]],
        )
        for members in releases
    ]
