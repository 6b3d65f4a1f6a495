"""The peak memory of processes, as Linux counts it: proc(5), `VmHWM` and `clear_refs`."""

from dataclasses import dataclass
from pathlib import Path

# Written to `clear_refs`: let the peak start anew from what is in use now.
_RESET_PEAK = "5"
_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Memory:
    """What a process used.

    Attributes
    ----------
    process : str
        What it is.
    idle_kib, peak_kib : int
        Before it had work to do, and at most since then.
    """

    process: str
    idle_kib: int
    peak_kib: int

    @property
    def over_idle_mib(self) -> float:
        """How much more the work took, in MiB."""
        return (self.peak_kib - self.idle_kib) / _KIB_PER_MIB


def peak_kib(pid: int) -> int:
    """Return the most that a process has used, in KiB; 0 if it has just ended."""
    try:
        return _status(Path("/proc", str(pid)), "VmHWM")
    except (OSError, RuntimeError):
        return 0


class Watch:
    """Watches the memory of one process from now on, when it is idle.

    Parameters
    ----------
    process : str
        What it is.
    pid : int
        Its id. It must be one of this user's.
    """

    def __init__(self, process: str, pid: int) -> None:
        self._process = process
        self._folder = Path("/proc", str(pid))
        self._idle_kib = _status(self._folder, "VmRSS")
        (self._folder / "clear_refs").write_text(_RESET_PEAK)

    def memory(self) -> Memory:
        """Return what it has used until now."""
        return Memory(self._process, self._idle_kib, _status(self._folder, "VmHWM"))


def _status(folder: Path, name: str) -> int:
    """Return a field of a process's status that is in kB, by which Linux means KiB.

    psutil does not tell the most that a process has used.
    """
    for line in (folder / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.removesuffix("kB"))
    raise RuntimeError(f"{folder}/status has no {name}")
