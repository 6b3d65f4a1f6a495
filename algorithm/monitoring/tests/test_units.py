"""Quantities are written as people read them."""

import pytest

from algorithm.monitoring.units import size


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (86_600, "86.6 kB"),
        (2_500_000_000, "2.5 GB"),
        (-1, "0 B"),
        (1e300, "1.0e+288 TB"),
    ],
)
def test_a_size(value: float, said: str) -> None:
    assert size(value) == said
