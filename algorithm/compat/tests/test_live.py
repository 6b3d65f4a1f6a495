"""Trying a release out: both runs must complete, with the same results."""

from pathlib import Path

import pytest

from algorithm.attach import Attached
from algorithm.compat import live
from algorithm.flower import Flower
from algorithm.run import Join
from proxy.errors import AppError

FLOWER = object.__new__(Flower)  # never asked anything: no run is started


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
    def run(what: object, folder: Path, screen: object, join: Join) -> str:
        result = bridged if join is Attached else natively
        if isinstance(result, AppError):
            raise result
        return result

    monkeypatch.setattr(live, "_run", run)
    assert live.try_out(FLOWER, None) == complaint
