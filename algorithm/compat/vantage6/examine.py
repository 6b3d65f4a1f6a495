"""Finding out whether the bridge can be used with releases of vantage6: `compat --vantage6`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from algorithm.compat import environment
from algorithm.compat.vantage6.contract import GENERATIONS, Contract, contract_of
from algorithm.compat.vantage6.published import Published, from_wheels
from algorithm.compat.vantage6.static import check
from algorithm.compat.wheel.static import Change
from proxy import __version__
from proxy.errors import Vantage6Error
from proxy.fleet.releases import version_of


@dataclass
class PlatformVerdict:
    """What was found out about one release.

    Attributes
    ----------
    release : str
        The release.
    changes : list[Change]
        How it differs from what the bridge relies on, and from the release before.
    tried : bool
        Whether the tests run it.
    """

    release: str
    changes: list[Change] = field(default_factory=list)
    tried: bool = False

    @property
    def reasons(self) -> list[str]:
        """Why the bridge cannot be used with it; empty if it can."""
        return [change.what for change in self.changes if change.breaks]

    @property
    def status(self) -> str:
        """`works` (the tests run it), `fits` (it should), or `broken`."""
        if self.reasons:
            return "broken"
        return "works" if self.tried else "fits"


HEADING = f"{'vantage6':<18} bridge"


def lines(verdict: PlatformVerdict) -> list[str]:
    """Return a table's row for people, and below it all that changed."""
    return [
        f"{verdict.release:<18} {verdict.status}",
        *(f"    BREAKS: {reason}" for reason in verdict.reasons),
        *(f"    {change.what}" for change in verdict.changes if not change.breaks),
    ]


def encode(verdicts: Sequence[PlatformVerdict]) -> str:
    """Return the verdicts as JSON."""
    releases = [{"status": verdict.status, **asdict(verdict)} for verdict in verdicts]
    return json.dumps({"bridge_release": __version__, "releases": releases}, indent=1)


def decode(text: str) -> list[PlatformVerdict]:
    """Return what `encode` made JSON of."""
    return [
        PlatformVerdict(
            members["release"],
            [Change(**change) for change in members["changes"]],
            members["tried"],
        )
        for members in json.loads(text)["releases"]
    ]


def known() -> list[str]:
    """Return the releases that the bridge means to speak and the package index has, oldest first.

    Raises
    ------
    FlowerError
        If the index does not answer.
    """
    return [
        release
        for contract in GENERATIONS
        for release in environment.released(contract.packages[1], any_python=True)
        if contract.first <= version_of(release) < contract.behind
    ]


def examine(release: str, releases: Sequence[str], cache: Path) -> PlatformVerdict:
    """Examine a release.

    Parameters
    ----------
    release : str
        Which.
    releases : Sequence[str]
        All that there are, to compare it with the one before.
    cache : Path
        A folder for wheels.

    Raises
    ------
    FlowerError, Vantage6Error
        If the bridge does not mean to speak it, or its wheels cannot be had.
    """
    contract = contract_of(release)
    if release not in releases:
        raise Vantage6Error(f"The package index has no vantage6 {release}.")
    older = [
        other for other in releases if contract.first <= version_of(other) < version_of(release)
    ]
    before = _read(older[-1], contract, cache) if older else None
    changes = check(_read(release, contract, cache), contract, before)
    return PlatformVerdict(release, changes, release in contract.tried)


def _read(release: str, contract: Contract, cache: Path) -> Published:
    wheels = [environment.wheel_of(package, release, cache) for package in contract.packages]
    return from_wheels(release, wheels)
