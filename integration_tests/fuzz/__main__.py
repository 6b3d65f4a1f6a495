"""`python -m integration_tests.fuzz SECONDS [TARGET …]`: all targets share the seconds."""

import re
import subprocess
import sys
from pathlib import Path

from integration_tests.fuzz.harness import names

_FOUND = Path("build/fuzz")


def main() -> int:
    """Fuzz each target in a process of its own; returns the exit code: 0 if none broke."""
    seconds, chosen = int(sys.argv[1]), sys.argv[2:] or names()
    broken = []
    for name in chosen:
        folder = _FOUND / name
        share = max(1, seconds // len(chosen))
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "integration_tests.fuzz.drivers"),
                *(name, str(share), str(folder)),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        counted = re.search(r"number_of_executed_units:\s*(\d+)", ended.stderr)
        print(f"{name}: {counted[1] if counted else 'no'} inputs in {share} s", flush=True)
        if ended.returncode:
            broken.append(name)
            print(
                f"{(ended.stdout + ended.stderr)[-5000:]}\n{name} is broken: see {folder}/crash-*"
            )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
