"""Resident stations as processes of the command, for tests."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Self

from algorithm.runs.keys import lane_keys_for
from proxy.system.process import Process
from proxy.tests.helpers import wait_until

_SECONDS = 60.0


class Residents:
    """Files of resident stations and of their central, in a folder.

    Attributes
    ----------
    keys : Path
        The keys of all ends.
    prefix : tuple[str, ...]
        What the stations' commands begin with.
    program : tuple[str, ...]
        The command `flower-v6`.
    """

    program: tuple[str, ...] = (sys.executable, "-E", "-P", "-m", "algorithm.cli")

    def __init__(self, folder: Path, lane: str, names: tuple[str, ...], flower: Path) -> None:
        self.folder = folder
        self.lane = lane
        self.names = names
        self.flower = flower
        self.prefix: tuple[str, ...] = ()
        self.keys = folder / "keys"
        lane_keys_for(["central", *names], self.keys)
        self._write_files()

    def of(self, *names: str) -> Self:
        """Return some of them, as the only ones: with folders of their own."""
        some = copy(self)
        some.folder, some.names = self.folder / "-".join(names), names
        some.folder.mkdir()
        (some.folder / "keys").symlink_to(self.keys)
        some._write_files()
        return some

    def _write_files(self) -> None:
        names = self.names
        for number, name in enumerate(names):
            self.file(name).write_text(
                f'lane = "{self.lane}"\nname = "{name}"\nfolder = "{name}"\nkey = "keys/{name}"\n'
                f'central = "keys/central.pub"\nflower-env = "{self.flower}"\n'
                f'[policy]\napps = "any"\n'
                f"[node-config]\npartition-id = {number}\nnum-partitions = {len(names)}\n"
            )

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `run` and `attach` that reach them."""
        return ("--lane", f"{','.join(self.names)}={self.lane}", "--lane-keys", str(self.keys))

    def file(self, name: str) -> Path:
        """Return a station's file."""
        return self.folder / f"{name}.toml"

    def start(self, name: str, environment: Mapping[str, str]) -> Process:
        """Start a station, and wait until it serves."""
        log = self.folder / f"{name}.log"
        before = log.read_text().count("is on lane") if log.exists() else 0
        process = Process(
            [*self.prefix, *self.program, "station", str(self.file(name))],
            environment,
            log,
            grace=_SECONDS,
        )
        assert wait_until(
            lambda: log.read_text().count("is on lane") > before or not process.running, _SECONDS
        )
        assert process.running, process.log_tail()
        return process

    @contextmanager
    def running(self, environment: Mapping[str, str]) -> Iterator[dict[str, Process]]:
        """Have all stations run; yields them by name."""
        started: dict[str, Process] = {}
        try:
            for name in self.names:
                started[name] = self.start(name, environment)
            yield started
        finally:
            for process in started.values():
                process.stop()
