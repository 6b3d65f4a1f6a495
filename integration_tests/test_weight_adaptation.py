"""The mod of the example `weights`: what fits is taken over, all else stays as it was."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[1] / "examples" / "weights" / "weights"
SHAPES = st.lists(st.integers(0, 4), min_size=0, max_size=3).map(tuple)


def load(path: Path) -> ModuleType:
    """Import a module of the app, which is not installed."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


adapt = load(EXAMPLE / "adapt.py")


def test_a_longer_axis_is_cut_and_a_shorter_one_filled_up_with_what_was_there() -> None:
    base = {"layer": np.zeros((2, 3))}
    patch = {"layer": np.ones((3, 2))}
    assert adapt.overlaid(base, patch)["layer"].tolist() == [[1, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize("patch", [{"layer": np.ones(3)}, {"other": np.ones((2, 3))}, {}])
def test_a_layer_that_fits_nowhere_stays_as_it_is(patch: dict[str, Any]) -> None:
    result = adapt.overlaid({"layer": np.zeros((2, 3))}, patch)
    assert list(result) == ["layer"]
    assert not result["layer"].any()


@given(SHAPES, SHAPES)
def test_what_is_untrained_comes_back_as_it_was_sent(
    servers: tuple[int, ...], stations: tuple[int, ...]
) -> None:
    sent = {"layer": np.random.default_rng(0).normal(size=servers)}
    own = {"layer": np.zeros(stations)}
    back = adapt.overlaid(sent, adapt.overlaid(own, sent))
    np.testing.assert_array_equal(back["layer"], sent["layer"])
    assert not own["layer"].any(), "the station's own weights were changed in place"


@pytest.mark.parametrize(
    ("stations", "part"), [((4, 4), 1.0), ((2, 4), 0.5), ((9, 9), 1.0), ((4,), 0.0)]
)
def test_the_part_that_is_shared_is_told(stations: tuple[int, ...], part: float) -> None:
    sent = {"layer": np.ones((4, 4))}
    assert adapt.shared_part(sent, {"layer": np.ones(stations)}) == part
