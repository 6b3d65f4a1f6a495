"""The folder that all containers of one job at one station share: what waits, what is answered.

    supernode.log                    what the SuperNodes wrote
    clientapp.log                    what the ClientApps wrote, in direct mode
    contexts/<run id>                direct mode: what the ClientApp keeps between messages
    contexts/<run id>.<message id>   that after a message, until its reply is complete
    contexts/life                    names this folder: in another one there are no Contexts
    instance                         names this folder and no copy of it, at a station that stays
    host.lock                        held by the host while it lives
    idle/<host>                      this host ended for want of messages: nobody waits for it
    messages/<message id>/
        instruction.bundle           what the courier left for the host, until it has the answer
        reply.complete               the answer, before the station lets it go
        reply.bundle                 the answer; kept until the next message, for repetitions
        missing.bundle               "these objects I do not hold": nothing was started
        error                        the answer is an error: for the courier's log
        wanted                       held by the couriers that wait for the answer
    taken/<message id>               a ClientApp has or had it: it must never be trained again
    cache/                           what need not be sent again, see `object_store`
    over                             the run has ended; only where the station cannot ask for that

Files appear under their names complete; `proxy.system.durable` says which also survive a power cut.
Standard library only: couriers start quickly.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from algorithm.station.object_store import ObjectStore
from proxy.system import durable
from proxy.system.locks import locked, shared, try_lock


class Message:
    """One message's place in the folder."""

    def __init__(self, folder: Path, taken: Path) -> None:
        self.folder = folder
        self.instruction = folder / "instruction.bundle"
        self.complete = folder / "reply.complete"
        self.reply = folder / "reply.bundle"
        self.missing = folder / "missing.bundle"
        self.lock = folder / "lock"
        self._error = folder / "error"
        self._wanted = folder / "wanted"
        self._taken = taken

    @property
    def message_id(self) -> str:
        """The message's id."""
        return self.folder.name

    def answered(self) -> bool:
        """Whether its answer is there; an empty one is none, and is removed."""
        try:
            if self.reply.stat().st_size:
                return True
            self.reply.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        return False

    @property
    def taken(self) -> bool:
        """Whether a ClientApp has or had it."""
        return self._taken.exists()

    @property
    def is_error(self) -> bool:
        """Whether its answer is an error, as far as that could be noted."""
        return self._error.exists()

    @property
    def ending(self) -> str:
        """What a log says of its answer."""
        return "answered with an error" if self.is_error else "answered"

    def note_error(self) -> None:
        """Note that its answer is an error. On a full disk only the logs miss it."""
        with suppress(OSError):
            self._error.touch()

    def forget_instruction(self) -> None:
        """Remove the instruction, and an answer that was begun."""
        for path in (self.instruction, self.missing, *self.folder.glob("*.part")):
            path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the instruction, and the message's place if nothing else is in it."""
        self.forget_instruction()
        with suppress(OSError):
            self.folder.rmdir()

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Be a courier that waits for the answer. There may be several, of several centrals."""
        with shared(self._wanted):
            yield

    def forget_unwanted(self, keep_missing: bool) -> None:
        """Remove what couriers left and what they are told, unless one still waits."""
        with suppress(FileNotFoundError):
            if lock := try_lock(self._wanted):
                with lock:
                    self.instruction.unlink(missing_ok=True)
                    if not keep_missing:
                        self.missing.unlink(missing_ok=True)

    def take(self) -> None:
        """Note that the ClientApp has it, for good: before it does."""
        durable.mark(self._taken)


class Job:
    """The folder.

    Parameters
    ----------
    folder : Path
        The job's temporary folder at this station; made if it is missing.
    settle : bool
        Whether to see once more that it survives a power cut, also if it is there: whoever made it
        may have been killed before. Couriers leave that to those who answer messages.
    """

    def __init__(self, folder: Path, settle: bool = True) -> None:
        self.folder = folder
        self.supernode_log = folder / "supernode.log"
        self.clientapp_log = folder / "clientapp.log"
        self.contexts = folder / "contexts"
        self._over = folder / "over"
        self._messages = folder / "messages"
        self._taken = folder / "taken"
        self._idle = folder / "idle"
        self.objects = ObjectStore(folder / "cache")
        for subfolder in (self._messages, self._taken):
            if settle or not subfolder.is_dir():
                durable.make_folder(subfolder)

    @property
    def instance(self) -> str:
        """A name that no other folder has, chosen when it is first asked for, and by a copy anew.

        What the original trains from then on the copy does not know. The file says its own inode:
        that stays when the machine or a container starts again, and when the folder is renamed.
        """
        path, part = self.folder / "instance", self.folder / "instance.part"
        with suppress(FileNotFoundError):
            name, _, inode = path.read_text().partition(" ")
            if inode == str(path.stat().st_ino):
                return name
        part.unlink(missing_ok=True)
        name = os.urandom(16).hex()
        with part.open("x") as file:
            file.write(f"{name} {os.fstat(file.fileno()).st_ino}")
        durable.publish(part, path)
        return name

    @property
    def over(self) -> bool:
        """Whether the run has ended, as somebody noted."""
        return self._over.exists()

    def end(self) -> None:
        """Note that the run has ended, for good."""
        durable.mark(self._over)

    def forget_all_but_marks(self) -> None:
        """Remove what only a run that goes on needs; logs stay."""
        for name in ("messages", "contexts", "cache", "flwr"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def message(self, message_id: str) -> Message:
        """Return a message's place, made if it is missing.

        Raises
        ------
        ValueError
            If the id cannot be one.
        """
        # Until 1.18 it is a UUID, with hyphens.
        if not message_id.replace("-", "").isalnum():
            raise ValueError(f"{message_id!r} is no message id")
        message = self.place(message_id)
        message.folder.mkdir(exist_ok=True)
        return message

    def waiting(self) -> list[Message]:
        """The messages that have an instruction but no answer."""
        messages = [self.place(message.name) for message in self._messages.iterdir()]
        return [
            message
            for message in messages
            if message.instruction.exists() and not message.answered()
        ]

    def forget_instructions(self) -> None:
        """Remove what was brought: who still wants an answer brings it again."""
        for folder in self._messages.iterdir():
            self.place(folder.name).forget_instruction()

    def forget_answered_but(self, message: Message) -> None:
        """Make room: a station has one message at a time, so older replies have arrived.

        But where an instruction is still there, its courier has yet to take the reply. It may be
        the other message that is the older one: its courier was killed, or came late.
        """
        for folder in self._messages.iterdir():
            other = self.place(folder.name)
            if folder != message.folder and other.reply.exists() and not other.instruction.exists():
                shutil.rmtree(folder, ignore_errors=True)

    def forget_older(self, seconds: float) -> None:
        """Remove marks and Contexts that nobody touched for so long."""
        before = time.time() - seconds
        contexts = [path for path in _files(self.contexts) if path.name != "life"]
        for file in (*_files(self._taken), *contexts):
            if file.stat().st_mtime < before:
                file.unlink(missing_ok=True)

    def place(self, message_id: str) -> Message:
        """Return a message's place, whether it is there or not."""
        return Message(self._messages / message_id, self._taken / message_id)

    @contextmanager
    def hosting(self) -> Iterator[bool]:
        """Be the host of this job, if there is no other; yields whether we are."""
        with try_lock(self.folder / "host.lock") or nullcontext() as lock:
            yield lock is not None

    def has_host(self) -> bool:
        """Whether a host of this job lives."""
        with self.hosting() as free:
            return not free

    def note_idle(self, host: str | None) -> None:
        """Note that a host ends for want of messages. On a full disk couriers wait for it."""
        if host is not None:
            with suppress(OSError):
                self._idle.mkdir(exist_ok=True)
                (self._idle / host).touch()

    def was_idle(self, host: str | None) -> bool:
        """Whether a host has ended for want of messages."""
        return host is not None and (self._idle / host).exists()

    def at_work_on(self, message: Message) -> bool:
        """Whether somebody may still answer a message: the host, or a container of its own."""
        if message.instruction.exists() and self.has_host():
            return True
        lock = try_lock(message.lock)
        if lock is not None:
            lock.close()
        return lock is None

    @contextmanager
    def working_on(self, message: Message) -> Iterator[None]:
        """Wait until no other container works on the message, then keep others from it."""
        with locked(message.lock):
            yield


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
