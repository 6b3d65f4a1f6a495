"""Processes and folders that end with their owner: see `proxy.system.keeper` and `remover`."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.system import GRACE_SECONDS, keeper, remover
from proxy.text import block

# They need no packages, and must not pick up any.
_KEEPER = (sys.executable, "-I", "-S", keeper.__file__)
_REMOVER = (sys.executable, "-I", "-S", remover.__file__)


class Process:
    """A command and all its descendants; they end when this process ends, if not before.

    Parameters
    ----------
    command : Sequence[str]
        What to run; its standard input is empty.
    environment : Mapping[str, str]
        All of its environment variables.
    log : Path
        Where its standard output and error are appended.
    grace : float
        Seconds that it may take to end after SIGTERM.
    alone : bool
        Promises that it starts no others and soon ends by itself: then it gets no keeper, which
        saves the time that starting one takes.
    pass_fds : Sequence[int]
        File descriptors that it inherits, under the same numbers.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        grace: float = GRACE_SECONDS,
        alone: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        self._alone = alone
        self._grace = grace
        self._ended, holder = os.pipe()
        keeper_of = () if alone else (*_KEEPER, str(grace), ",".join(map(str, pass_fds)))
        try:
            with log.open("ab") as output:
                self._log_start = output.tell()
                # A session of its own: a Ctrl-C at the terminal is for us to deal with.
                self._popen = subprocess.Popen(
                    [*keeper_of, *command],
                    env=dict(environment),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[holder, *pass_fds],
                )
        finally:
            os.close(holder)

    @property
    def pid(self) -> int:
        """The process that it runs below, or is."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code once it has ended, 128 + N for signal N."""
        return self._popen.poll()

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended, `timeout` seconds at most; returns whether it has."""
        if self._popen.returncode is None:
            readable, _, _ = select.select([self._ended], [], [], max(timeout, 0.0))
            if readable:
                self._popen.wait()
        return not self.running

    def stop(self) -> None:
        """End it with all its descendants, and wait for that."""
        if self._popen.stdin is not None and not self._popen.stdin.closed:
            self._popen.stdin.close()
            if self._alone:
                self._end_alone()
            self._popen.wait()
            os.close(self._ended)

    def _end_alone(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(self._grace)
        except subprocess.TimeoutExpired:
            self._popen.kill()

    def log_tail(self, lines: int = 15) -> str:
        """The end of what it wrote, cleaned."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - 64 * 1024))
            text = file.read().decode(errors="replace").strip()
        return block("\n".join(text.splitlines()[-lines:]), lines)


class Workspace:
    """A private folder that is removed with everything in it, however this process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="flower-v6-"))
        self._remover = subprocess.Popen(
            [*_REMOVER, str(self.path)], stdin=subprocess.PIPE, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._remover.communicate()
