"""A vantage6 server or node as a process that tests start, stop and kill."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from integration_tests.harness import descendants, wait_until
from proxy.system.process import Process

_HERE = Path(__file__).parent
PYTHON = Path(__file__).parents[2] / ".venv-vantage6" / "bin" / "python"
# A node removes its containers before it ends.
_GRACE_SECONDS = 30.0
# Where it looks for configurations, and writes data and logs.
_FOLDERS = ("CACHE", "CONFIG", "DATA", "STATE")


class Program:
    """One of the scripts beside this module; it ends at the latest with this process.

    Parameters
    ----------
    script : str
        The script's name.
    arguments : Sequence[str]
        Its arguments; the first is its configuration file.
    folder : Path
        Where it keeps what it writes, and its log.
    environment : Mapping[str, str]
        Variables beyond those that it gets anyway.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments = arguments
        # -P: the modules beside the script are not for it to import.
        self._command = [str(PYTHON), "-P", str(_HERE / script), *arguments]
        self._folder = folder
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ},
            "HOME": str(folder),
            **{f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in _FOLDERS},
            **(environment or {}),
        }
        self._process: Process | None = None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it, and do not wait."""
        assert not self.running, f"{self._arguments[0]} runs already"
        self._process = Process(
            self._command, self._environment, self._folder / "log", grace=_GRACE_SECONDS
        )

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that it does; if it fails, it is ended and its log is shown."""
        assert self._process is not None
        try:
            wait_until(lambda: not self.running or condition(), what)
            assert self.running, f"it ended before {what}"
        except AssertionError as error:
            error.add_note(self._process.log_tail(40))
            self.stop()
            raise

    def log(self) -> str:
        """What it has written since it was started."""
        return "" if self._process is None else self._process.log_tail(sys.maxsize)

    def stop(self) -> None:
        """End it by SIGTERM, and wait for that."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it by SIGKILL."""
        for pid in descendants(os.getpid()):
            if _command_of(pid) == self._command:
                os.kill(pid, signal.SIGKILL)
        self.stop()


def _command_of(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
