"""Files in memory that know what is on the disk, and what a power cut takes.

What was not synced may be lost: a folder is then as it was at some moment since it was synced last,
a file has what was synced, or a part of what was written since, or all of it. A process that is
killed leaves what it wrote, but of a file that it had open only some beginning.

Not modelled: permissions, links other than hard ones, reading what another process has not closed.
"""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import takewhile
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from algorithm.tests.simulation.scheduler import Machine, Process, Scheduler

ROOT = "/simulated"
_FIRST_DESCRIPTOR = 1 << 20


@lru_cache(1 << 14)
def _names_in(path: str) -> tuple[str, ...]:
    """Return the names in a path below `ROOT`."""
    return tuple(name for name in path[len(ROOT) :].split("/") if name)


class File:
    """A file's content, and what of it is on the disk."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.modified = now
        self.content = self.synced = b""
        self.lock_holders: set[Process | None] = set()
        self.lock_is_shared = False

    def sync(self) -> None:
        self.synced = self.content


class Folder:
    """What is in a folder, and what it may have in it after a power cut."""

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.modified = now
        self.entries: dict[str, File | Folder] = {}
        self.since_synced: list[dict[str, File | Folder]] = [{}]

    def changed(self, now: float) -> None:
        self.modified = now
        self.since_synced.append(dict(self.entries))

    def sync(self) -> None:
        self.since_synced = [dict(self.entries)]


class Disk:
    """The files of all machines, below `ROOT/NAME`.

    Attributes
    ----------
    full : set[Machine]
        Where there is no room now.
    """

    def __init__(self, scheduler: Scheduler, now: Callable[[], float]) -> None:
        self._now = now
        self.full: set[Machine] = set()
        self._scheduler = scheduler
        self._count = 0
        self._root = self._folder()
        self._open: dict[int, tuple[File | Folder, _File | None]] = {}
        self._paths: dict[int, str] = {}
        self._writing: dict[Process, set[_File]] = {}

    def _folder(self) -> Folder:
        self._count += 1
        return Folder(self._count, self._now())

    # What happens to all of it

    def cut_power(self, machine: Machine) -> None:
        """Lose what is not on the disk."""
        top = self._root.entries.get(machine.name)
        if isinstance(top, Folder):
            self._lose(top)

    def _lose(self, folder: Folder) -> None:
        chance = self._scheduler.chance
        folder.entries = dict(chance.choice(folder.since_synced))
        folder.sync()
        for entry in folder.entries.values():
            if isinstance(entry, Folder):
                self._lose(entry)
            elif entry.content != entry.synced:
                written = entry.content
                # What was appended, or written over a torn end, takes nothing with it before that.
                pairs = zip(entry.synced, written, strict=False)
                kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
                some = written[: kept + int(chance.random() * (len(written) - kept))]
                entry.content = entry.synced = chance.choice([entry.synced, some, written])

    def killed(self, process: Process) -> None:
        """Keep some beginning of what a process was writing, and let go of its locks."""
        for file in self._writing.pop(process, ()):
            written = file.getvalue()
            file.inode.content = written[
                : int(self._scheduler.chance.random() * (len(written) + 1))
            ]

    def sync_all(self, machine: Machine) -> None:
        """Have all that is there on the disk."""

        def below(folder: Folder) -> None:
            folder.sync()
            for entry in folder.entries.values():
                if isinstance(entry, Folder):
                    below(entry)
                else:
                    entry.sync()

        top = self._root.entries[machine.name]
        assert isinstance(top, Folder)
        below(top)

    def files(self, machine: Machine) -> Iterator[str]:
        """Yield the paths of all files of a machine."""

        def below(path: str, folder: Folder) -> Iterator[str]:
            for name, entry in folder.entries.items():
                if isinstance(entry, Folder):
                    yield from below(f"{path}/{name}", entry)
                else:
                    yield f"{path}/{name}"

        top = self._root.entries.get(machine.name)
        if isinstance(top, Folder):
            yield from below(f"{ROOT}/{machine.name}", top)

    # The system's calls

    def _find(self, path: str) -> File | Folder:
        entry: File | Folder = self._root
        for name in _names_in(path):
            if not isinstance(entry, Folder):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
            try:
                entry = entry.entries[name]
            except KeyError:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path) from None
        return entry

    def _place(self, path: str) -> tuple[Folder, str]:
        parent, _, name = path.rstrip("/").rpartition("/")
        folder = self._find(parent)
        if not isinstance(folder, Folder):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
        return folder, name

    def _check_room(self, path: str) -> None:
        if self.full and path.split("/")[2] in {each.name for each in self.full}:
            raise OSError(errno.ENOSPC, "No space left on device", path)

    def _put(self, folder: Folder, name: str, entry: File | Folder | None) -> None:
        if entry is None:
            del folder.entries[name]
        else:
            folder.entries[name] = entry
        folder.changed(self._now())

    def usage(self) -> SimpleNamespace:
        """Return how much room there is; that a disk is full, who writes finds out."""
        return SimpleNamespace(total=1 << 40, free=1 << 39)

    def stat(self, path: str) -> SimpleNamespace:
        return self._stat(self._find(path))

    def _stat(self, entry: File | Folder) -> SimpleNamespace:
        is_folder = isinstance(entry, Folder)
        return SimpleNamespace(
            st_mode=(stat.S_IFDIR if is_folder else stat.S_IFREG) | 0o700,
            st_size=0 if isinstance(entry, Folder) else len(entry.content),
            st_mtime=entry.modified,
            st_mtime_ns=int(entry.modified * 1e9),
            st_ino=entry.number,
            st_dev=1,
        )

    def mkdir(self, path: str) -> None:
        folder, name = self._place(path)
        if name in folder.entries:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        self._check_room(path)
        self._put(folder, name, self._folder())

    def listdir(self, path: str) -> list[str]:
        entry = self._find(path)
        if not isinstance(entry, Folder):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
        return list(entry.entries)

    def scandir(self, path: str) -> "_Entries":
        entry = self._find(path)
        assert isinstance(entry, Folder)
        return _Entries(path, entry)

    def unlink(self, path: str) -> None:
        folder, name = self._place(path)
        if isinstance(self._find(path), Folder):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        self._put(folder, name, None)

    def rmdir(self, path: str) -> None:
        folder, name = self._place(path)
        if self.listdir(path):
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        self._put(folder, name, None)

    def remove_tree(self, path: str) -> None:
        for name in self.listdir(path):
            below = f"{path}/{name}"
            if isinstance(self._find(below), Folder):
                self.remove_tree(below)
            else:
                self._scheduler.seam()
                self.unlink(below)
        self.rmdir(path)

    def replace(self, path: str, other: str) -> None:
        entry, (folder, name), (into, new) = (
            self._find(path),
            self._place(path),
            self._place(other),
        )
        self._put(into, new, entry)
        self._put(folder, name, None)

    def link(self, path: str, other: str) -> None:
        entry, (into, new) = self._find(path), self._place(other)
        if new in into.entries:
            raise FileExistsError(errno.EEXIST, "File exists", other)
        self._check_room(other)
        self._put(into, new, entry)

    def touch(self, path: str) -> None:
        self._find(path).modified = self._now()

    def truncate(self, path: str, size: int) -> None:
        entry = self._find(path)
        assert isinstance(entry, File)
        entry.content = entry.content[:size]

    def _file_at(self, path: str, create: bool, new: bool) -> File:
        folder, name = self._place(path)
        entry = folder.entries.get(name)
        if isinstance(entry, Folder):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        if entry is not None and new:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        if entry is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            self._check_room(path)
            self._count += 1
            entry = File(self._count, self._now())
            self._put(folder, name, entry)
        return entry

    def truncate_descriptor(self, descriptor: int, size: int) -> None:
        entry = self._open[descriptor][0]
        assert isinstance(entry, File)
        entry.content = entry.content[:size]

    def write_descriptor(self, descriptor: int, data: bytes, offset: int) -> int:
        entry, path = self._open[descriptor][0], self._paths[descriptor]
        assert isinstance(entry, File)
        self._check_room(path)
        written = entry.content
        entry.content = written[:offset] + bytes(data) + written[offset + len(data) :]
        return len(data)

    def open_descriptor(self, path: str, flags: int) -> int:
        if flags & os.O_CREAT:
            entry: File | Folder = self._file_at(path, create=True, new=bool(flags & os.O_EXCL))
        else:
            entry = self._find(path)
        descriptor = self._descriptor(entry, None)
        self._paths[descriptor] = path
        return descriptor

    def _descriptor(self, entry: File | Folder, file: "_File | None") -> int:
        self._count += 1
        number = _FIRST_DESCRIPTOR + self._count
        self._open[number] = entry, file
        return number

    def is_ours(self, descriptor: int) -> bool:
        return descriptor >= _FIRST_DESCRIPTOR

    def close_descriptor(self, descriptor: int) -> None:
        del self._open[descriptor]

    def sync_descriptor(self, descriptor: int) -> None:
        self._open[descriptor][0].sync()

    def stat_descriptor(self, descriptor: int) -> SimpleNamespace:
        return self._stat(self._open[descriptor][0])

    def open(self, path: str, mode: str, encoding: str | None, errors: str | None) -> Any:
        kind = mode.replace("b", "").replace("t", "")
        entry = self._file_at(path, create=kind[0] in "wax", new=kind[0] == "x")
        file = _File(self, entry, path, kind)
        return file if "b" in mode else io.TextIOWrapper(file, encoding or "utf-8", errors)

    def try_lock(self, descriptor: int, shared: bool) -> bool:
        """Lock a file for the process that runs, unless another has it locked."""
        entry, file = self._open[descriptor]
        assert isinstance(entry, File)
        holders = {each for each in entry.lock_holders if each is not None and each.alive}
        if holders and not (shared and entry.lock_is_shared):
            return False
        assert file is not None
        file.lock_holder = self._scheduler.process
        entry.lock_holders = {*holders, file.lock_holder}
        entry.lock_is_shared = shared
        return True

    def began_writing(self, file: "_File") -> None:
        process = self._scheduler.process
        if process is not None:
            self._writing.setdefault(process, set()).add(file)

    def wrote(self, file: "_File") -> None:
        process = self._scheduler.process
        if process is not None:
            self._writing.get(process, set()).discard(file)

    def check_write(self, file: "_File") -> None:
        self._check_room(file.name)


class _File(io.BytesIO):
    """A file that is open; what is written is in it when it is flushed or closed."""

    def __init__(self, disk: Disk, inode: File, path: str, kind: str) -> None:
        super().__init__(b"" if kind[0] == "w" else inode.content)
        self.inode = inode
        self.name = path
        self.lock_holder: Process | None = None
        self._disk = disk
        self._number = 0
        self._writes = kind[0] in "wx"
        if kind[0] == "w":
            inode.content = b""
        if kind[0] == "a":
            self.seek(0, io.SEEK_END)
        if self._writes:
            disk.began_writing(self)

    def write(self, data: Any, /) -> int:
        self._disk.check_write(self)
        if not self._writes:
            self._writes = True
            self._disk.began_writing(self)
        return super().write(data)

    def flush(self) -> None:
        if self._writes and not self.closed and not self._disk._scheduler.over:
            self.inode.content = self.getvalue()
            self.inode.modified = self._disk._now()

    def fileno(self) -> int:
        if not self._number:
            self._number = self._disk._descriptor(self.inode, self)
        return self._number

    def close(self) -> None:
        if self.closed or self._disk._scheduler.over:  # nobody reads it any more
            return
        if self._writes:
            self._disk._scheduler.seam()
            self.flush()
            self._disk.wrote(self)
        if self._number:
            self._disk.close_descriptor(self._number)
        self.inode.lock_holders.discard(self.lock_holder)
        super().close()


class _Entries:
    """What `os.scandir` returns."""

    def __init__(self, path: str, folder: Folder) -> None:
        self._entries = [
            SimpleNamespace(
                name=name,
                path=f"{path}/{name}",
                is_dir=lambda entry=entry, **_: isinstance(entry, Folder),
                is_file=lambda entry=entry, **_: isinstance(entry, File),
                is_symlink=lambda: False,
            )
            for name, entry in folder.entries.items()
        ]

    def __iter__(self) -> Iterator[SimpleNamespace]:
        return iter(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass
