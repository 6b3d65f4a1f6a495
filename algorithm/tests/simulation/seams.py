"""Where the code under test meets the simulation: what it calls of the system is done here.

Threads, locks, time, files and random numbers of Python's own modules are replaced while a
schedule runs: in a process whose only thread runs it. Nothing of the bridge is changed but two
things that cost time: how long it waits between looks where nobody would wake it, and that a
SuperNode's key is a real one.
"""

import builtins
import io
import os
import queue
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from greenlet import getcurrent

from algorithm.tests.simulation.disk import ROOT, Disk
from algorithm.tests.simulation.scheduler import Event, Lock, Scheduler, Thread
from proxy.system import locks

EPOCH = 1_800_000_000.0
_MANY_BYTES = 4096


def _thread_class(scheduler: Scheduler) -> type:
    """Return what takes the place of `threading.Thread`."""

    class SimulatedThread:
        def __init__(
            self,
            group: None = None,
            target: Callable[..., object] = lambda: None,
            name: str | None = None,
            args: Any = (),
            kwargs: Any = None,
            *,
            daemon: bool | None = None,
        ) -> None:
            self._work = lambda: target(*args, **(kwargs or {}))
            self.name = name or "thread"
            self.daemon = daemon
            self._thread: Thread | None = None

        @property
        def ident(self) -> int | None:
            return None if self._thread is None else self._thread.number

        def start(self) -> None:
            process = scheduler.process
            assert process is not None
            self._thread = scheduler.start(process, self._work, self.name)

        def is_alive(self) -> bool:
            return self._thread is not None and not self._thread.ended

        def join(self, timeout: float | None = None) -> None:
            thread = self._thread
            assert thread is not None
            scheduler.seam()
            if not thread.ended:
                current = scheduler.current
                thread.joining.append(current)
                until = None if timeout is None else scheduler.now + max(0.0, timeout)
                if not scheduler.wait(until) and current in thread.joining:
                    thread.joining.remove(current)

    return SimulatedThread


def _paths(disk: Disk, scheduler: Scheduler) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
    """Yield what is replaced: where, its name, and what takes its place for simulated paths."""

    def of_path(name: str, simulated: Callable[..., Any]) -> tuple[Any, str, Callable[..., Any]]:
        real = getattr(os, name)

        def call(path: Any, *args: Any, **options: Any) -> Any:
            text = (
                path if type(path) is str else os.fspath(path) if not isinstance(path, int) else ""
            )
            if text[: len(ROOT)] != ROOT:
                return real(path, *args, **options)
            scheduler.seam()
            return simulated(text, *args)

        return os, name, call

    by_path: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("stat", lambda path, *_: disk.stat(path)),
        ("lstat", lambda path, *_: disk.stat(path)),
        ("mkdir", lambda path, *_: disk.mkdir(path)),
        ("listdir", disk.listdir),
        ("scandir", disk.scandir),
        ("unlink", disk.unlink),
        ("remove", disk.unlink),
        ("rmdir", disk.rmdir),
        ("utime", lambda path, *_: disk.touch(path)),
        ("chmod", lambda *_: None),
        ("truncate", disk.truncate),
        ("replace", lambda path, other: disk.replace(path, os.fspath(other))),
        ("rename", lambda path, other: disk.replace(path, os.fspath(other))),
        ("link", lambda path, other: disk.link(path, os.fspath(other))),
        ("open", lambda path, flags, *_: disk.open_descriptor(path, flags)),
    )
    yield from (of_path(name, simulated) for name, simulated in by_path)

    def of_descriptor(name: str, simulated: Callable[..., Any]) -> Any:
        real = getattr(os, name)

        def call(descriptor: Any, *args: Any) -> Any:
            if not isinstance(descriptor, int) or not disk.is_ours(descriptor):
                return real(descriptor, *args)
            scheduler.seam()
            return simulated(descriptor, *args)

        return os, name, call

    yield of_descriptor("close", disk.close_descriptor)
    yield of_descriptor("fsync", disk.sync_descriptor)
    yield of_descriptor("fdatasync", disk.sync_descriptor)
    yield of_descriptor("ftruncate", disk.truncate_descriptor)
    yield of_descriptor("pwrite", disk.write_descriptor)
    yield of_descriptor("fstat", disk.stat_descriptor)

    real_open, real_rmtree = io.open, shutil.rmtree

    def open_file(
        path: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        text = path if type(path) is str else "" if isinstance(path, int) else os.fspath(path)
        if text[: len(ROOT)] != ROOT:
            return real_open(path, mode, buffering, encoding, errors, *rest, **options)
        scheduler.seam()
        return disk.open(text, mode, encoding, errors)

    def remove_tree(path: Any, ignore_errors: bool = False, **options: Any) -> None:
        text = os.fspath(path)
        if text[: len(ROOT)] != ROOT:
            real_rmtree(path, ignore_errors, **options)
            return
        try:
            disk.remove_tree(text)
        except OSError:
            if not ignore_errors:
                raise

    yield io, "open", open_file
    yield builtins, "open", open_file
    yield shutil, "rmtree", remove_tree
    if hasattr(tempfile, "_rmtree"):  # Debian's tempfile has a name of its own for it
        yield tempfile, "_rmtree", remove_tree


class _Flock:
    """Stands for the module `fcntl`."""

    LOCK_SH, LOCK_EX, LOCK_NB = 1, 2, 4

    def __init__(self, disk: Disk, scheduler: Scheduler) -> None:
        self._disk, self._scheduler = disk, scheduler

    def flock(self, file: Any, how: int) -> None:
        """Lock a file, as the system does."""
        while not self._disk.try_lock(file.fileno(), shared=bool(how & self.LOCK_SH)):
            if how & self.LOCK_NB:
                raise BlockingIOError
            self._scheduler.sleep(0.5)


def wall_clock(scheduler: Scheduler) -> Callable[[], float]:
    """Return the clock that a process sees: its machine's."""

    def wall() -> float:
        process = scheduler.process
        return EPOCH + scheduler.now + (process.machine.ahead if process else 0.0)

    return wall


@contextmanager
def simulated(scheduler: Scheduler, disk: Disk) -> Iterator[None]:
    """Have the system's calls done by the simulation."""
    bytes_of = random.Random(scheduler.chance.random())  # noqa: S311 - no secret
    wall = wall_clock(scheduler)
    home = threading.get_ident()

    def seconds() -> float:
        return scheduler.now

    def ident() -> int:
        current = getcurrent()
        return current.number if isinstance(current, Thread) else home

    def urandom(size: int) -> bytes:
        # Much of it is there for its size alone, and takes long to make.
        return bytes_of.randbytes(size) if size < _MANY_BYTES else bytes(size)

    def lock() -> Lock:
        return Lock(scheduler)

    def event() -> Event:
        return Event(scheduler)

    replacements: list[tuple[Any, str, Any]] = [
        (threading, "Thread", _thread_class(scheduler)),
        (threading, "Event", event),
        (threading, "Lock", lock),
        (threading, "_allocate_lock", lock),
        (threading, "RLock", threading._RLock),
        (threading, "get_ident", ident),
        (threading, "_time", seconds),
        (queue, "time", seconds),
        (time, "monotonic", seconds),
        (time, "time", wall),
        (time, "time_ns", lambda: int(wall() * 1e9)),
        (time, "sleep", scheduler.sleep),
        (os, "urandom", urandom),
        (random, "_urandom", urandom),
        (locks, "fcntl", _Flock(disk, scheduler)),
        (shutil, "disk_usage", lambda _: disk.usage()),
        *_paths(disk, scheduler),
    ]
    state = random.getstate()
    with replaced(replacements):
        random.seed(scheduler.chance.random())
        yield
    random.setstate(state)


@contextmanager
def replaced(replacements: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Replace attributes for a while: of what, its name, and what takes its place."""
    before = []
    try:
        for where, name, instead in replacements:
            before.append((where, name, getattr(where, name)))
            setattr(where, name, instead)
        yield
    finally:
        for where, name, value in reversed(before):
            setattr(where, name, value)
