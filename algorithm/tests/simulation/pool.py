"""Many schedules, in several processes."""

import gc
import multiprocessing
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor

from algorithm.tests.simulation.schedule import Outcome, run

_BATCH = 25


def outcomes(
    seeds: Iterable[int], processes: int, prepare: Callable[[], None] | None = None
) -> Generator[Outcome, None, None]:
    """Run schedules, in other processes; yields what became of each.

    Parameters
    ----------
    seeds : Iterable[int]
        Which.
    processes : int
        How many there are at a time.
    prepare : Callable[[], None] | None
        Called in each process first; a function of a module.
    """
    spawning = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawning, _settle, (prepare or nothing,))
    try:
        yield from pool.map(run, seeds, chunksize=_BATCH)
    finally:
        pool.shutdown(cancel_futures=True)


def nothing() -> None:
    """Do nothing."""


def _settle(prepare: Callable[[], None]) -> None:
    """Let garbage be looked for more rarely: there is much of it, and little memory in it."""
    prepare()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
