"""A release that is newer than all that was tried: used, unless it shows that it cannot be."""

from algorithm.flower.environment import Flower
from proxy.errors import FlowerError
from proxy.fleet.releases import NEWEST_TRIED, version_of


def check_untried(flower: Flower, direct: bool) -> None:
    """Refuse a release to come that has changed what the bridge relies on.

    Parameters
    ----------
    flower : Flower
        The environment that is to be used.
    direct : bool
        Whether in direct mode, which does not rely on the Fleet API.

    Raises
    ------
    FlowerError
        If it is newer than what was tried, and what it publishes does not fit.
    """
    if version_of(flower.release) <= NEWEST_TRIED:
        return
    # Takes its time to import, and is hardly ever needed.
    from algorithm.compat.examine import examine_installed  # noqa: PLC0415

    verdict = examine_installed(flower, try_out=False, tapes=None)
    reasons = verdict.direct_reasons if direct else verdict.reasons
    if reasons:
        newest = ".".join(map(str, NEWEST_TRIED))
        raise FlowerError(
            f"Flower {flower.release} is newer than this bridge, and lacks what the bridge"
            f" needs: {'; '.join(reasons)}.",
            f"Install a newer flower-v6, or an older Flower: pip install 'flwr<={newest}'.",
        )
