"""Trying a release out: both runs must complete, with the same results."""

from pathlib import Path

import pytest

from algorithm.compat import live
from algorithm.flower.environment import Flower
from proxy.errors import AppError

FLOWER = object.__new__(Flower)  # no run is started
FLOWER.folder, FLOWER.release = Path("env"), "1.41.0"


@pytest.mark.parametrize(
    ("natively", "bridged", "directly", "complaints"),
    [
        ("[1]", "[1]", "[1]", ("", "")),
        ("[1]", "[2]", "[1]", ("the results differ: natively [1], bridged [2]", "")),
        ("[1]", "[1]", "[2]", ("", "the results differ: natively [1], in direct mode [2]")),
        (AppError("it fell"), "[1]", "[1]", ("natively, the app does not run: it fell", "")),
        ("[1]", AppError("it fell"), "[1]", ("bridged, the app does not run: it fell", "")),
        ("[1]", "[1]", AppError("it fell"), ("", "in direct mode, the app does not run: it fell")),
    ],
)
def test_a_release_works_if_all_runs_end_with_the_same(
    natively: str | AppError,
    bridged: str | AppError,
    directly: str | AppError,
    complaints: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = {"natively": natively, "bridged": bridged, "in direct mode": directly}

    def run(name: str, *_: object) -> str:
        result = results[name]
        if isinstance(result, AppError):
            raise result
        return result

    monkeypatch.setattr(live, "_run", run)
    assert live.try_out(FLOWER, None, direct=True) == complaints


def test_nothing_is_tried_in_a_mode_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(live, "_run", lambda name, *_: tried.append(name))
    assert live.try_out(FLOWER, None, direct=False) == ("", "")
    assert tried == ["natively", "bridged"]
