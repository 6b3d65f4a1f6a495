"""Measure, compare with native Flower and with the goals; exit code 1 if one of those is missed."""

import json
import os
import platform
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.flower.environment import Flower
from benchmarks.costs import Cost, measure_cost
from benchmarks.goals import COST_MEGABYTES, SIZES, cost_goals, goals, telling_goal
from benchmarks.measure import NATIVE, STATIONS, Measurement, Size, measure
from benchmarks.report import LEGEND, as_json, comparison, verdicts
from benchmarks.telling import measure_telling
from proxy import __version__

RESULTS = Path("benchmark-results", "results.json")


def main() -> int:
    """Run the benchmark; returns the exit code."""
    flower = Flower(Path(sys.executable).parent.parent)
    environment = {
        "flower-v6": __version__,
        "flwr": flower.release,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load before": round(os.getloadavg()[0], 1),
        "stations": STATIONS,
    }
    print("The bridge beside native Flower, one after the other on this machine")
    print(", ".join(f"{name} {value}" for name, value in environment.items()), flush=True)
    results = _measure_all(flower)
    costs = [_cost(megabytes) for megabytes in COST_MEGABYTES]
    telling = measure_telling()
    print(telling)
    reached = [*goals(results), *cost_goals(costs), telling_goal(telling, results)]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(as_json(results, costs, reached, environment), indent=2) + "\n")
    print(f"\n{comparison(results)}\n\n{LEGEND}")
    print(f"\nGoals, for warm SuperNodes unless it says so\n{verdicts(reached)}")
    print(f"\nAll numbers are in {RESULTS}.")
    return 0 if all(goal.met for goal in reached) else 1


def _measure_all(flower: Flower) -> dict[tuple[Size, str], Measurement]:
    """Measure each size in each mode, in turn.

    Raises
    ------
    RuntimeError
        If the bridge did not lead to the same models: then it did not do the same work.
    """
    results: dict[tuple[Size, str], Measurement] = {}
    for size in SIZES:
        for mode in size.modes:
            started = time.monotonic()
            with TemporaryDirectory(prefix="flower-v6-benchmark-") as folder:
                results[size, mode] = measurement = measure(flower, size, mode, Path(folder))
            if measurement.models != results[size, NATIVE].models:
                raise RuntimeError(f"{size}, {mode}: the model is not the one of native Flower.")
            print(
                f"{size}, {mode}: {size.rounds} rounds, then {measurement.step:.2f} s per step"
                f" (measured in {time.monotonic() - started:.0f} s)",
                flush=True,
            )
    return results


def _cost(megabytes: int) -> Cost:
    with TemporaryDirectory(prefix="flower-v6-benchmark-") as folder:
        cost = measure_cost(megabytes, Path(folder))
    print(cost, flush=True)
    return cost


if __name__ == "__main__":
    sys.exit(main())
