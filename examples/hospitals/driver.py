"""The driver: gives jobs to a SuperLink that stays, first one after the other, then two at once.

    python driver.py lab

`lab` is the SuperLink's name in Flower's config.toml.
"""

import subprocess
import sys
from pathlib import Path

APP = Path(__file__).parent


def start(superlink: str, config: str) -> subprocess.Popen[bytes]:
    """Start a job: `flwr run`, until the job is over."""
    command = ["flwr", "run", str(APP), superlink, "--stream", "--run-config", config]
    return subprocess.Popen(command)


def main(superlink: str) -> int:
    """Run all jobs; returns how many failed."""
    print("In sequence: all sites, then all but west", flush=True)
    codes = [start(superlink, config).wait() for config in ("exclude=''", "exclude='west'")]

    print("In parallel: each site alone", flush=True)
    jobs = [start(superlink, f"include='{site}'") for site in ("harbor", "west")]
    codes += [job.wait() for job in jobs]
    return sum(code != 0 for code in codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
