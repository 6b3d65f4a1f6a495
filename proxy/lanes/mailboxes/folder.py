"""A mailbox in a folder that both ends reach: a shared one, or one on a server, by fsspec.

    STATION/to-station/   letters of the central
    STATION/to-central/   letters of the station

A letter's name is `TIME-RANDOM-SIZE.letter`. Each box has one writer, so times are compared with
those of the same clock only, and only to hand out what was sent first; nothing depends on them.
A letter is read when it has the size that its name says, and has that name: it is written under
another one first, where a store has renames. The stores that have none show no object before it
is whole.

The boxes are made once. Where folders are real, one that is missing afterwards was not emptied: it
is not mounted at the moment, and what is made in its place would be hidden later.
"""

import logging
import os
import re
import stat
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from proxy.clock import SYSTEM_CLOCK, Clock
from proxy.errors import UsageError, reason_of
from proxy.lanes.letters.letter import Altered, LetterRefused
from proxy.lanes.mailboxes.mailbox import LetterTooLarge, MailboxUnreachable, Room
from proxy.system import durable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_LETTER = re.compile(r"\d{20}-[0-9a-f]{8}-(\d+)\.letter")
_PART = ".part"
# What this mailbox leaves if it is killed while it writes, or checks.
_LEFT = re.compile(rf"{_LETTER.pattern}{re.escape(_PART)}|[0-9a-f]{{32}}\.probe")
_LOCAL = ("file", "local")
# A file system that is mounted here can be looked at often; each look at a server costs a call.
_LOCAL_PAUSES, _REMOTE_PAUSES = (0.01, 0.5), (0.1, 3.0)
# Looks get rarer the longer nothing happens: the pause is a twentieth of the idle time.
_PAUSE_SHARE = 0.05
_SSH = ("sftp", "ssh")
_WEBDAV = "webdav"
# Elsewhere a folder may be there only as long as something is in it.
_WITH_FOLDERS = (*_LOCAL, *_SSH)
# Of a server that does not answer any more; without it a call would wait for ever.
_KEEPALIVE = {"keepalive_interval": 10, "keepalive_count_max": 2, "connect_timeout": 20}
# A slow link may take longer for a piece of a letter than httpx waits by default, which is 5 s.
_WEBDAV_SECONDS = 60.0
# A letter that has another size than its name says, for so long, was truncated. A mounted folder
# may show an older size for a minute (nfs(5), `acregmax`).
_ALTERED_SECONDS = 90.0
# Object stores: renaming there is copying, and an object appears whole.
_WITHOUT_RENAMES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})


class FolderMailbox:
    """Implements `proxy.lanes.mailboxes.mailbox.Mailbox` with files.

    Parameters
    ----------
    url : str
        The folder: a path, or a URL that fsspec understands, as `sftp://user@host/path`.
    station : str
        The station at the lane's end.
    at_station : bool
        Whether this is the station's side.
    clock : Clock
        Tells how long a letter has a wrong size.

    Raises
    ------
    UsageError
        If a package is missing, or the URL is none.
    """

    def __init__(
        self, url: str, station: str, at_station: bool, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._url = url
        self._clock = clock
        boxes = f"{station}/to-central", f"{station}/to-station"
        self._outgoing, self._incoming = boxes if at_station else reversed(boxes)
        self._room = Room(at_station)
        self._lock = threading.Lock()  # for the next four
        self._store: AbstractFileSystem | None = None
        self._root = ""
        self._made = False
        self._swept = False
        self._protocol = url.partition("://")[0] if "://" in url else "file"
        self._pauses = _LOCAL_PAUSES if self._protocol in _LOCAL else _REMOTE_PAUSES
        self._handed_out: set[str] = set()
        self._postponed: set[str] = set()
        self._unfit: dict[tuple[str, int], float] = {}  # letters of a wrong size, and since when
        self._active = self._next_look = time.monotonic()
        _fsspec()

    def send(self, letter: Path) -> None:
        """Leave a letter; see `Mailbox.send`."""
        size = letter.stat().st_size
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}-{size}.letter"

        def write(store: "AbstractFileSystem") -> None:
            self._sweep(store)
            path = self._path(self._outgoing, name)
            if self._protocol in _WITHOUT_RENAMES:
                store.put_file(str(letter), path)
                return
            try:
                store.put_file(str(letter), path + _PART)
                if self._protocol in _LOCAL:
                    durable.publish(Path(path + _PART), Path(path))
                else:
                    store.mv(path + _PART, path)
            except Exception:
                # On a full disk it would take the room of the next try.
                with suppress(Exception):
                    _remove(store, path + _PART)
                raise

        self._calling(write)
        self._active = self._next_look = time.monotonic()

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for the next letter; see `Mailbox.receive`."""
        until = time.monotonic() + seconds
        while True:
            time.sleep(max(0.0, min(self._next_look, until) - time.monotonic()))
            now = time.monotonic()
            if now < self._next_look:
                return None
            shortest, longest = self._pauses
            pause = min(max(shortest, _PAUSE_SHARE * (now - self._active)), longest)
            self._next_look = now + pause
            if name := self._calling(lambda store: self._fetch(store, into)):
                self._handed_out.add(name)
                self._active = self._next_look = time.monotonic()
                return name
            self._next_look = time.monotonic() + pause

    def done(self, name: str) -> None:
        """Remove a letter; see `Mailbox.done`."""
        self._calling(lambda store: _remove(store, self._path(self._incoming, name)))

    def postpone(self, name: str) -> None:
        """Hand out a letter again; see `Mailbox.postpone`."""
        self._handed_out.discard(name)
        self._postponed.add(name)

    def wipe(self) -> None:
        """Remove what was sent from here; see `Mailbox.wipe`."""

        def remove(store: "AbstractFileSystem") -> None:
            for name, _ in self._listed(store, self._outgoing):
                _remove(store, self._path(self._outgoing, name))

        self._calling(remove)

    def check(self) -> None:
        """Find out whether it can be used; see `Mailbox.check`."""

        def use(store: "AbstractFileSystem") -> None:
            probe = self._path(self._outgoing, f"{uuid.uuid4().hex}.probe")
            store.pipe_file(probe, b"probe")
            if store.cat_file(probe) != b"probe":
                raise OSError("what was written is not there")
            _remove(store, probe)
            self._listed(store, self._incoming)
            if self._protocol in _LOCAL:
                _check_removing(Path(self._path(self._incoming, "")))

        self._calling(use)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            self._store = None

    def _path(self, box: str, name: str) -> str:
        return f"{self._root}/{box}/{name}"

    def _fetch(self, store: "AbstractFileSystem", into: Path) -> str | None:
        listed = self._listed(store, self._incoming)
        self._handed_out &= {name for name, _ in listed}
        self._unfit = {letter: since for letter, since in self._unfit.items() if letter in listed}
        self._postponed &= {name for name, _ in listed}
        for name, size in sorted(listed, key=lambda letter: (letter[0] in self._postponed, letter)):
            match = _LETTER.fullmatch(name)
            if not match or name in self._handed_out:
                continue
            path = self._path(self._incoming, name)
            if size != int(match[1]):
                since = self._unfit.setdefault((name, size), self._clock.monotonic())
                if self._clock.monotonic() - since > _ALTERED_SECONDS:
                    _remove(store, path)
                    raise Altered(
                        f"The letter {path} has {size:,} bytes; its name says {int(match[1]):,}."
                    )
                continue
            try:
                if not self._room.is_there(into, size):
                    continue
            except LetterTooLarge:
                _remove(store, path)
                raise
            with suppress(FileNotFoundError):  # withdrawn meanwhile
                store.get_file(path, str(into))
                if into.stat().st_size == size:
                    return name
        return None

    def _sweep(self, store: "AbstractFileSystem") -> None:
        """Remove what a killed predecessor had half written; other files are not ours."""
        if not self._swept:
            for name, _ in self._listed(store, self._outgoing):
                if _LEFT.fullmatch(name):
                    _remove(store, self._path(self._outgoing, name))
            self._swept = True

    def _listed(self, store: "AbstractFileSystem", box: str) -> list[tuple[str, int]]:
        """Return the names and sizes of the files in a box."""
        store.invalidate_cache()
        try:
            entries: list[dict[str, Any]] = store.ls(f"{self._root}/{box}", detail=True)
        except FileNotFoundError as error:
            if self._protocol in _WITH_FOLDERS:
                raise _not_there(f"{self._root}/{box}") from error
            return []
        return [
            (str(entry["name"]).rpartition("/")[2], int(entry["size"] or 0))
            for entry in entries
            if entry["type"] == "file"
        ]

    def _calling(self, call: "Callable[[AbstractFileSystem], Answer]") -> Answer:
        """Call the store, with a new connection after one that failed."""
        try:
            return call(self._connected())
        except (UsageError, LetterRefused, MailboxUnreachable):
            raise
        except Exception as error:  # each store has exceptions of its own
            self.close()
            file = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
            raise MailboxUnreachable(
                f"The folder {self._url} cannot be used: {type(error).__name__}: "
                f"{reason_of(error)}{file}."
            ) from error

    def _connected(self) -> "AbstractFileSystem":
        with self._lock:
            if self._store is None:
                store, self._root = _connection(self._url, self._protocol)
                if not self._made or self._protocol not in _WITH_FOLDERS:
                    self._make_boxes(store)
                self._store = store
            return self._store

    def _make_boxes(self, store: "AbstractFileSystem") -> None:
        # A folder is made; where that in which it lies is missing, too, its path may be mistyped.
        if self._protocol in _LOCAL and not Path(self._root).parent.exists():
            raise _not_there(self._root)
        for box in (self._outgoing, self._incoming):
            store.makedirs(f"{self._root}/{box}", exist_ok=True)
        self._made = True


def _connection(url: str, protocol: str) -> "tuple[AbstractFileSystem, str]":
    """Return a new connection to a store, and the folder's path there."""
    if protocol in _SSH:
        store = _ssh_file_system()
        options = store._get_kwargs_from_urls(url)
        # The keys of hosts are checked as `ssh` does; sshfs alone would take any.
        made = store(**options, known_hosts=(), **_KEEPALIVE, skip_instance_cache=True)
        return made, store._strip_protocol(url)
    own = {}
    if protocol == _WEBDAV and "timeout" not in _fsspec().conf.get(_WEBDAV, {}):
        own["timeout"] = _WEBDAV_SECONDS
    store, root = _fsspec().url_to_fs(url, skip_instance_cache=True, **own)
    return store, root.rstrip("/")


def _check_removing(box: Path) -> None:
    """Raise an error if letters of another user cannot be removed once they are read."""
    about = box.stat()
    sticky = about.st_mode & stat.S_ISVTX and os.geteuid() not in (0, about.st_uid)
    if sticky or not os.access(box, os.W_OK | os.X_OK):
        raise MailboxUnreachable(
            f"Letters in {box} can be read, but not removed: this user needs to write there"
            f"{', and it must not be sticky (chmod -t)' if sticky else ''}."
        )


def _not_there(folder: str) -> MailboxUnreachable:
    return MailboxUnreachable(f"The lane's folder {folder} is not there: mount it, or make it.")


def _remove(store: "AbstractFileSystem", path: str) -> None:
    with suppress(FileNotFoundError):
        store.rm_file(path)


def _fsspec() -> Any:
    try:
        import fsspec.core  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise _missing("fsspec") from error
    return fsspec.core


def _ssh_file_system() -> Any:
    try:
        from sshfs import SSHFileSystem  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise _missing("sshfs") from error
    return SSHFileSystem


def _missing(package: str) -> UsageError:
    return UsageError(
        f"Lanes in folders need the package {package}, which is not installed.",
        "Install flower-v6[folder].",
    )
