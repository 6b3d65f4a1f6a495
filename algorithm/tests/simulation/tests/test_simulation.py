"""No rule is broken in a few schedules; each rule that is broken on purpose is noticed.

`make simulate` runs thousands.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from algorithm.tests.simulation.pool import outcomes
from algorithm.tests.simulation.tests.mutants import MUTANTS

FEW, ENOUGH = 20, 10_000


def test_no_rule_is_broken() -> None:
    seen = list(outcomes(range(FEW), 1))
    assert [each for each in seen if each.violation] == []
    assert sum(each.kills for each in seen) > 0
    assert sum(each.errors for each in seen) > 0


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_rule_is_noticed(mutant: Callable[[], None]) -> None:
    with closing(outcomes(range(ENOUGH), 1, mutant)) as seen:
        assert any(each.violation for each in seen)


def test_a_seed_tells_the_same_story_again() -> None:
    """Also in a process that hashes strings in another way."""
    code = (
        "from algorithm.tests.simulation.schedule import run\n"
        "for seed in (1, 61, 144):"
        " print(*run(seed, tell=True).story, sep='\\n')"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    )
    assert first == second
    assert "trains message" in first
