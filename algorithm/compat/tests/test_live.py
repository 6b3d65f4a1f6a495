"""Trying a release out: both runs must complete, with the same results."""

from pathlib import Path

import pytest

from algorithm.compat import live
from algorithm.flower import Flower
from algorithm.on_superlink import Join
from proxy.errors import AppError

FLOWER = object.__new__(Flower)  # no run is started
FLOWER.folder, FLOWER.release = Path("env"), "1.41.0"


@pytest.mark.parametrize(
    ("natively", "bridged", "complaint"),
    [
        ("[1]", "[1]", ""),
        ("[1]", "[2]", "the results differ: natively [1], bridged [2]"),
        (AppError("it fell"), "[1]", "natively, the app does not run: it fell"),
        ("[1]", AppError("it fell"), "bridged, the app does not run: it fell"),
    ],
)
def test_a_release_works_if_both_runs_end_with_the_same(
    natively: str | AppError,
    bridged: str | AppError,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(flower: Flower, folder: Path, screen: object, join: Join) -> str:
        result = natively if isinstance(join, live.NativeSuperNodes) else bridged
        if isinstance(result, AppError):
            raise result
        return result

    monkeypatch.setattr(live, "_run", run)
    assert live.try_out(FLOWER, None) == complaint
