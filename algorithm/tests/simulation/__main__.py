"""`make simulate`: runs schedules, and says which seed found what."""

import argparse
import sys
import time

from algorithm.tests.simulation.pool import outcomes
from algorithm.tests.simulation.schedule import run


def main() -> int:
    """Run what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m algorithm.tests.simulation", description=__doc__
    )
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
            print(f"    python -m algorithm.tests.simulation --seed {outcome.seed}", flush=True)
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
