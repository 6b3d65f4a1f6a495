"""What a journal costs: steps in direct mode with one, beside those without, turn by turn.

    python -m benchmarks.journal

The app is `large`, on two stations of this machine. Models must be the same.
"""

import os
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from algorithm.flower.environment import Flower
from benchmarks.measure import DIRECT, Size, measure

_SIZES = (Size(kilobytes=1, rounds=50), Size(kilobytes=100_000, rounds=4))
_TURNS = 3


def main() -> int:
    """Measure, and print a line for each size."""
    flower = Flower(Path(sys.executable).parent.parent)
    print(f"flwr {flower.release}, load {os.getloadavg()[0]:.1f}", flush=True)
    for size in _SIZES:
        steps: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(2 * _TURNS):
            journaled = turn % 2 == 1
            with TemporaryDirectory() as folder:
                options = ("--journal", f"{folder}/journal") if journaled else ()
                measured = measure(flower, size, DIRECT, Path(folder), options)
            steps[journaled] += measured.step_seconds[1:]
        without, with_one = median(steps[False]), median(steps[True])
        print(
            f"{size}: {without:.4f} s per step without a journal, {with_one:.4f} s with one:"
            f" {with_one / without:.2f} times",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
