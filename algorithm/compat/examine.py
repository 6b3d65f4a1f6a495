"""Finding out whether the bridge speaks releases of Flower: `flower-v6 compat`."""

from pathlib import Path

from algorithm.compat import environment, live
from algorithm.compat.verdict import Verdict
from algorithm.compat.wheel.contract import contract_of
from algorithm.compat.wheel.distribution import Distribution, from_environment, from_wheel
from algorithm.compat.wheel.names import missing
from algorithm.compat.wheel.signatures import changed_signatures
from algorithm.compat.wheel.static import check
from algorithm.flower.environment import Flower
from proxy.errors import BridgeError, FlowerError
from proxy.fleet.releases import era_of, names_of


def examine_installed(flower: Flower, try_out: bool, tapes: Path | None) -> Verdict:
    """Examine a release that is installed.

    Parameters
    ----------
    flower : Flower
        Its environment; to try it out, numpy must be in it.
    try_out : bool
        Whether to run an app on it, natively and in each mode.
    tapes : Path | None
        A folder for a tape of the native run; None for no tape.
    """
    verdict = _read(from_environment(flower.folder), None)
    if try_out:
        _try_out(flower.folder, verdict, tapes)
    return verdict


def examine_released(
    release: str, before: str | None, cache: Path, try_out: bool, tapes: Path | None
) -> Verdict:
    """Examine a release that the package index has.

    Parameters
    ----------
    release : str
        Which.
    before : str | None
        The release before, to tell what changed with this one; None if there is none.
    cache : Path
        A folder for wheels and environments.
    try_out, tapes
        As above.

    Raises
    ------
    FlowerError
        If its wheel cannot be had, or is none of Flower.
    """
    try:
        era_of(release)
    except FlowerError as error:
        return Verdict(release, failure=error.message)
    older = from_wheel(environment.wheel(before, cache)) if before else None
    verdict = _read(from_wheel(environment.wheel(release, cache)), older)
    if try_out:
        try:
            folder = environment.environment(release, cache)
        except FlowerError as error:
            verdict.failure = error.message
        else:
            _try_out(folder, verdict, tapes)
    return verdict


def supported(releases: list[str]) -> list[str]:
    """Return which of some releases the bridge means to speak."""
    spoken = []
    for release in releases:
        try:
            era_of(release)
        except FlowerError:
            continue
        spoken.append(release)
    return spoken


def _read(published: Distribution, before: Distribution | None) -> Verdict:
    """Compare what is published with what the bridge relies on."""
    era = era_of(published.release)
    verdict = Verdict(published.release, ".".join(map(str, era.first)), era.transport)
    try:
        verdict.changes = check(published, contract_of(era), before)
    except FlowerError as error:
        verdict.failure = error.message
    _read_python_api(published, verdict)
    return verdict


def _read_python_api(published: Distribution, verdict: Verdict) -> None:
    """Compare what is published with what the direct mode relies on, if there is one."""
    try:
        names = names_of(published.release)
    except FlowerError:
        return
    try:
        verdict.direct_reasons = [f"there is no {name}" for name in missing(published, names)]
    except FlowerError as error:
        verdict.direct_reasons = [error.message]
    for change in changed_signatures(published, names):
        if change.breaks:
            verdict.direct_reasons.append(change.what)
        else:
            verdict.changes.append(change)


def _try_out(folder: Path, verdict: Verdict, tapes: Path | None) -> None:
    tape = tapes / f"{verdict.release}.tape" if tapes else None
    reasons = verdict.direct_reasons
    try:
        verdict.failure, trouble = live.try_out(Flower(folder), tape, direct=reasons is not None)
    except BridgeError as error:
        verdict.failure, trouble = str(error), ""
    if reasons is not None and trouble:
        reasons.append(trouble)
    verdict.tried = True
