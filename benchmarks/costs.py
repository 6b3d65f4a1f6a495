"""What a message's size costs in direct mode: the peak memory of each process, and disk.

The app is `large` with one station, one round: the same model goes there and back. Processes are
looked at every now and then while they run: their peak is what Linux has noted (proc(5), `VmHWM`).
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import peak_kib
from integration_tests.harness import APPS, COMMAND, command_line, descendants, run_config, start

_LOOK_SECONDS = 0.05
_KIB = 1024
# Which process is which, by a part of its command line. The first that fits counts; processes that
# only keep others are none of them.
_PROCESSES = (
    ("keeper.py", ""),
    ("run_serverapp.py", "ServerApp"),
    ("run_clientapp.py", "ClientApp"),
    ("-m algorithm", "station"),
    (f"{COMMAND} run", "command"),
)


@dataclass(frozen=True)
class Cost:
    """What one size cost.

    Attributes
    ----------
    megabytes : int
        The size of the model.
    peak_mb : dict[str, float]
        The peak memory of each process, in millions of bytes.
    disk_mb : float
        The most that lay on disk at once, in millions of bytes.
    """

    megabytes: int
    peak_mb: dict[str, float]
    disk_mb: float

    def __str__(self) -> str:
        """Return it as a line."""
        peaks = ", ".join(f"{name} {peak:.0f} MB" for name, peak in self.peak_mb.items())
        return f"{self.megabytes} MB, direct: peak memory of {peaks}; {self.disk_mb:.0f} MB of disk"


def measure_cost(megabytes: int, folder: Path) -> Cost:
    """Measure one size.

    Parameters
    ----------
    megabytes : int
        The size of the model.
    folder : Path
        An existing, empty folder.

    Raises
    ------
    RuntimeError
        If the run failed.
    """
    temporary = folder / "temporary"
    temporary.mkdir()
    config = run_config(
        megabytes=megabytes, num_stations=1, evaluate=False, result=folder / "result.json"
    )
    command = start(
        *("run", str(APPS / "large"), "--mode", "direct", "--stations", "1"),
        *("--run-config", config),
        log=folder / "run.log",
        environment={"TMPDIR": str(temporary)},
    )
    peaks: dict[str, float] = {}
    disk = 0
    while command.running:
        for pid in descendants(os.getpid()):
            if name := _name_of(pid):
                peaks[name] = max(peaks.get(name, 0.0), peak_kib(pid) * _KIB / 1e6)
        disk = max(disk, _bytes_in(temporary))
        time.sleep(_LOOK_SECONDS)
    if command.exit_code:
        raise RuntimeError(f"flower-v6 run failed:\n{command.log_tail(40)}")
    return Cost(megabytes, peaks, disk / 1e6)


def _name_of(pid: int) -> str:
    """Return which process it is; empty for none of ours."""
    line = command_line(pid)
    return next((name for part, name in _PROCESSES if part in line), "")


def _bytes_in(folder: Path) -> int:
    """Return what the files in a folder take on disk; one with several names counts once."""
    sizes: dict[int, int] = {}
    for parent, _, names in os.walk(folder):  # passes over a folder that is removed meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                status = Path(parent, name).lstat()
                sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())
