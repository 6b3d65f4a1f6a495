"""What a journal keeps beside its records: replies, and what is needed to ask for one again."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from proxy.bundle import Bundle
from proxy.central.outline import Outline
from proxy.errors import BundleError, CarrierError, FleetError
from proxy.fleet.messages import Instruction
from proxy.journal.history import Entry
from proxy.system import durable
from proxy.system.records import DamagedRecords

# So much of its disk a journal leaves to others.
_ROOM_SHARE = 0.05
# So much of it a journal has in reserve, for what it has to note when the disk is full.
_SPARE_BYTES = 1 << 20
# What a file system says that has no hard links, such as exFAT or some of those on a network.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class Files:
    """The folders of a journal; `proxy.journal` has the list.

    Parameters
    ----------
    folder : Path
        The journal's.
    keep_replies : bool
        Whether reply bundles stay when nobody needs them any more.

    Attributes
    ----------
    replies : Path
        The folder of the reply bundles.

    Raises
    ------
    OSError
        If the folders cannot be made. So do methods that write, unless they say otherwise.
    """

    def __init__(self, folder: Path, keep_replies: bool) -> None:
        self.folder = folder
        self._keep_replies = keep_replies
        self.replies = folder / "replies"
        self._pulled = folder / "pulled"
        self._outlines = folder / "outlines"
        self._spare = folder / "spare"
        for path in (folder, self.replies, self._pulled, self._outlines, folder / "stations"):
            durable.make_folder(path)

    def begin(self) -> None:
        """Remove what a central that was killed left half done."""
        for part in (*self._pulled.glob("*.part"), *self.folder.glob("spare.*.part")):
            part.unlink(missing_ok=True)

    @property
    def work(self) -> Path:
        """The folder for all else that has to survive; it is there."""
        folder = self.folder / "work"
        durable.make_folder(folder)
        return folder

    def folder_of(self, station: str) -> Path:
        """Return the folder for a station's bundles on their way; it is there."""
        folder = self.folder / "stations" / key_of(station)
        durable.make_folder(folder)
        return folder

    # Room to note something on a full disk

    def make_spare(self) -> None:
        """Take the room, unless it is taken already, or there is little: then it is tried later."""
        with suppress(OSError):
            if not self._spare.exists() and shutil.disk_usage(self.folder).free > 2 * _SPARE_BYTES:
                # No zeros: some file systems store them without taking room.
                durable.write(self._spare, os.urandom(_SPARE_BYTES))

    def remove_spare(self) -> None:
        """Give the room up."""
        durable.remove(self._spare)

    def note(self, write: Callable[[], None]) -> None:
        """Write something; if there is no room for it, once more in the room of the spare file."""
        try:
            write()
        except OSError as error:
            if error.errno not in durable.NO_ROOM or not self._spare.exists():
                raise
            self.remove_spare()
            write()

    # Replies

    def reply(self, name: str) -> Path:
        """Return the path of a reply bundle, of the name that its record has."""
        return self.replies / name

    def has_room_for(self, bundle: Path) -> bool:
        """Whether a reply leaves room for others: a run's replies stay until its end."""
        usage = shutil.disk_usage(self.folder)
        return usage.free > max(2 * bundle.stat().st_size, usage.total * _ROOM_SHARE)

    def keep_reply(self, bundle: Path, station: str, message: str) -> str:
        """Keep a reply bundle; returns its name. Afterwards it survives a power cut."""
        path = self._reply_of(station, message)
        path.unlink(missing_ok=True)
        try:
            os.link(bundle, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _copy(bundle, path)
        durable.sync(path)
        durable.sync(path.parent)
        return path.name

    def forget_reply(self, station: str, message: str) -> None:
        """Remove a reply that nobody asks for any more."""
        if not self._keep_replies:
            self._reply_of(station, message).unlink(missing_ok=True)

    def forget_replies_but(self, needed: Collection[str]) -> None:
        """Remove all replies but some."""
        if not self._keep_replies:
            for path in self.replies.iterdir():
                if path.name not in needed:
                    path.unlink(missing_ok=True)

    def check_reply(self, entry: Entry) -> None:
        """Raise `DamagedRecords` if the reply to a message is not there, or is another one."""
        path = self.reply(entry.reply)
        try:
            with Bundle(path) as bundle:
                if bundle.header.message_id != entry.message:
                    raise BundleError(f"It answers message {bundle.header.message_id}.")
        except BundleError as error:
            raise DamagedRecords(
                f"{path} is not the reply of station {entry.station} to message"
                f" {entry.title}. {error.message}",
                "Restore the file, or begin with another folder.",
            ) from error

    def _reply_of(self, station: str, message: str) -> Path:
        return self.reply(f"{key_of(f'{station}/{message}')}.bundle")

    # Messages under way, from a SuperLink that lives on

    def keep_message(self, station: str, encoded: bytes) -> None:
        """Keep the message that a station has under way."""
        self.note(lambda: durable.write(self._pulled / key_of(station), encoded))

    def message_of(self, station: str) -> Instruction | None:
        """Return the message that a station has under way; None if there is none, or only half."""
        try:
            return Instruction.decode((self._pulled / key_of(station)).read_bytes())
        except (FleetError, FileNotFoundError):
            return None

    def forget_message(self, station: str) -> None:
        """Remove it."""
        (self._pulled / key_of(station)).unlink(missing_ok=True)

    # Outlines, of a run

    def keep_outline(self, station: str, outline: Outline) -> None:
        """Keep what is needed to ask a station for its last message."""
        path = self.outline_of(station)
        made = path.with_suffix(".new")
        try:
            with outline.begun(made) as writer:
                writer.close()
        except BundleError as error:
            raise CarrierError(f"{error.message} The message was not sent.") from error
        durable.publish(made, path)

    def outline_of(self, station: str) -> Path:
        """Return where it is."""
        return self._outlines / key_of(station)

    def check_outline(self, entry: Entry) -> None:
        """Raise `DamagedRecords` if a station cannot be asked for the message that it may have."""
        path = self.outline_of(entry.station)
        try:
            with Bundle(path) as outline:
                Outline.read(outline)
        except BundleError as error:
            raise DamagedRecords(
                f"{path} is no outline. Station {entry.station} may have message"
                f" {entry.title}, and would train it again. {error.message}",
                "Restore the file, or begin with another folder.",
            ) from error

    def forget_outlines(self) -> None:
        """Remove them: no station is asked for a message any more."""
        for path in self._outlines.iterdir():
            path.unlink(missing_ok=True)


def key_of(name: str) -> str:
    """Return a name for a file, of a name that may be anything."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]


def _copy(source: Path, target: Path) -> None:
    """Copy a file; half of it does not stay."""
    try:
        shutil.copyfile(source, target)
    except OSError:
        target.unlink(missing_ok=True)
        raise
