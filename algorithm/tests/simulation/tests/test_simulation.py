"""No rule is broken in some hundred schedules; each rule that is broken on purpose is noticed."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

import pytest

from algorithm.tests.simulation.schedule import Outcome, run
from algorithm.tests.simulation.tests.mutants import MUTANTS

FEW, ENOUGH = 300, 10_000


def outcomes(seeds: Iterable[int], mutant: Callable[[], None] | None = None) -> Iterator[Outcome]:
    """Run schedules in another process, whose rules may be broken."""
    with multiprocessing.get_context("spawn").Pool(1, mutant) as pool:
        yield from pool.imap(run, seeds, 10)


def test_no_rule_is_broken() -> None:
    seen = list(outcomes(range(FEW)))
    assert [each for each in seen if each.violation] == []
    assert sum(each.kills for each in seen) > 0
    assert sum(each.errors for each in seen) > 0


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_rule_is_noticed(mutant: Callable[[], None]) -> None:
    noticed = (each for each in outcomes(range(ENOUGH), mutant) if each.violation)
    assert next(noticed, None) is not None


@pytest.mark.parametrize("seed", [1, 61, 144])
def test_a_seed_tells_the_same_story_again(seed: int) -> None:
    """Also in a process that hashes strings in another way."""
    code = (
        "from algorithm.tests.simulation.schedule import run;"
        f"print(*run({seed}, tell=True).story, sep='\\n')"
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
