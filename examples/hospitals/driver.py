"""The driver: gives jobs to a SuperLink that stays; first one, and after it two at once.

    python driver.py lab

`lab` is the SuperLink's name in Flower's config.toml.
"""

import subprocess
import sys
from pathlib import Path

APP = Path(__file__).parent


def start(superlink: str, config: str) -> subprocess.Popen[bytes]:
    """Start a job: `flwr run`, which shows its log until it is over."""
    command = ["flwr", "run", str(APP), superlink, "--stream", "--run-config", config]
    return subprocess.Popen(command)


def main(superlink: str) -> int:
    """Run all jobs; returns how many Flower did not take. How one ended is in its log."""
    print("One job at all sites", flush=True)
    codes = [start(superlink, "exclude=''").wait()]

    print("Then two at once: west alone, and all but west", flush=True)
    jobs = [start(superlink, config) for config in ("include='west'", "exclude='west'")]
    codes += [job.wait() for job in jobs]
    return sum(code != 0 for code in codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
