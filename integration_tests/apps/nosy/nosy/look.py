"""Looking around: at one's own environment, and at the other processes of the machine."""

import os
from pathlib import Path


def look(secret: str) -> dict[str, list[str]]:
    """Return the names of this process's variables, and the processes in which a secret stands."""
    return {"variables": sorted(os.environ), "telling": sorted(telling(secret.encode()))}


def telling(secret: bytes) -> set[str]:
    """Return the commands of the processes whose environment or arguments have the secret."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("environ", "cmdline"):
            try:
                if secret in (process / file).read_bytes():
                    found.add(f"{file} of {(process / 'cmdline').read_text()}")
            except OSError:
                continue
    return found
