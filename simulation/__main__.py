"""`make simulate`: runs schedules, and says which seed found what."""

import argparse
import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from simulation.schedule import Outcome, run

_BATCH = 25


def outcomes(
    seeds: Iterable[int], processes: int, prepare: Callable[[], None] | None = None
) -> Iterator[Outcome]:
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


def main() -> int:
    """Run what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("schedules", type=int, nargs="?", default=10_000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="where to begin")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--seed", type=int, help="tell what happens in this one schedule")
    given = parser.parse_args()
    if given.seed is not None:
        outcome = run(given.seed, tell=True)
        print(*outcome.story, sep="\n")
        print(outcome.violation or "No rule was broken.")
        return bool(outcome.violation)
    started = time.monotonic()
    broken = errors = kills = done = 0
    for outcome in outcomes(range(given.first, given.first + given.schedules), given.processes):
        done += 1
        errors, kills = errors + outcome.errors, kills + outcome.kills
        if outcome.violation:
            broken += 1
            print(f"seed {outcome.seed}: {outcome.violation}", flush=True)
            print(f"    python -m simulation --seed {outcome.seed}", flush=True)
        if done % 10_000 == 0:
            print(f"{done} schedules, {broken} violations", flush=True)
    seconds = time.monotonic() - started
    print(
        f"{done} schedules in {seconds:.0f} s: {broken} violations, {kills} kills,"
        f" {errors} error replies, each of them due."
    )
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
