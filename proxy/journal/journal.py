"""A journal: takes the events of messages, and tells a delivery what is known of its message."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from proxy.central.events import (
    Answered,
    Drained,
    Dropped,
    Event,
    Pulled,
    Pushed,
    Refused,
    Sent,
    Stage,
)
from proxy.central.memory import NOTHING, Differs, Kept, Past
from proxy.central.outline import Outline
from proxy.clock import Deadline
from proxy.errors import Cancelled, CarrierError, Undelivered, UsageError, reason_of
from proxy.fleet.contents import content_id
from proxy.fleet.messages import ErrorCode, Instruction, error_reply
from proxy.journal.differences import differ, difference
from proxy.journal.files import Files
from proxy.journal.history import GIVEN, OVER, Entry, History, record_of_error
from proxy.journal.replay import Replay
from proxy.journal.turns import Turns
from proxy.system import durable
from proxy.system.locks import try_lock
from proxy.system.records import DamagedRecords, Records

log = logging.getLogger(__name__)

# So long an answer waits while no other gets its turn, besides the time that its message took.
_ORDER_SECONDS = 60.0


class Journal:
    """Implements `proxy.central.memory.Lasting`; `trace` is a needed listener of all events.

    Parameters
    ----------
    folder : Path
        Where it is; made if it is missing.
    keep_replies : bool
        Whether reply bundles stay when nobody needs them any more.

    Attributes
    ----------
    history : History
        All that it holds.
    difference : Differs | None
        Why the run cannot go on, once that has shown.

    Raises
    ------
    UsageError
        If the folder cannot be used, or another central uses it.
    DamagedRecords
        If the journal is damaged.
    """

    def __init__(self, folder: Path, keep_replies: bool = False) -> None:
        self.folder = folder = folder.absolute()  # apps may change their working directory
        self.difference: Differs | None = None
        self._lock = threading.RLock()
        self._turns = Turns()
        self._giving = threading.Lock()
        self._replay: Replay | None = None
        self._resumed_at = 0.0  # in seconds since the epoch
        self._unnoted = ""  # why the run cannot go on, if that could not be noted
        # The message of each station that is under way, and what is known of it.
        self._current: dict[str, tuple[Entry, Past]] = {}
        try:
            self._files = Files(folder, keep_replies)
            # A file of its own might be deleted, and then two centrals write the journal.
            lock = try_lock(folder / "journal")
            if lock is None:
                raise UsageError(
                    f"The journal {folder} is in use by another flower-v6.",
                    "Stop the other one, or use another folder.",
                )
            self._file_lock = lock
            self._records = Records(folder / "journal")
        except OSError as error:
            raise UsageError(
                f"The journal {error.filename or folder} cannot be used: {error.strerror}."
            ) from error
        self._files.begin()
        self.history = self._read()
        if not self.history.name:
            self._note({"event": "named", "name": uuid.uuid4().hex})
        self._remove_unneeded()
        self._files.make_spare()

    def _read(self) -> History:
        """Return what the records say; raises `DamagedRecords` if some are missing."""
        history = History(self._records.before, self._records.path)
        is_new = not history.runs and not history.entries
        if is_new and any(self._files.replies.iterdir()):
            raise DamagedRecords(
                f"{self._records.path} is missing or empty, or was cut, but"
                f" {self._files.replies} has replies.",
                "Restore the file, or begin with another folder.",
            )
        return history

    # A run whose ServerApp is started again

    def begin(self, about: Mapping[str, Any], fixed: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin a run, or go on with the one that has not ended.

        Parameters
        ----------
        about : Mapping[str, Any]
            What has to be the same for a run to go on: the app, its config and so on, in JSON.
        fixed : Mapping[str, Any]
            What a new run keeps however often it is started, in JSON.

        Returns
        -------
        Mapping[str, Any]
            That of the run which goes on, or else `fixed`.

        Raises
        ------
        UsageError
            If the run that has not ended is another one.
        DamagedRecords
            If a reply or an outline that it needs is not there, or is not what was written.
        """
        run = self.history.run
        if run is None and (self.history.entries or (self.folder / "keys").exists()):
            raise UsageError(
                f"The journal {self.folder} is that of an attached SuperLink.",
                "Use another folder.",
            )
        if run is not None and run.goes_on:
            for name, value in about.items():
                if differ(run.about.get(name), value):
                    raise UsageError(
                        f"The journal {self.folder} holds a run that has not ended, with another"
                        f" {name}: {difference(run.about.get(name), value)}.",
                        "Go on with that run as it was begun, or use another folder.",
                    )
            if lost := run.lost:
                why = f"The reply to message {lost.title} of station {lost.station} was not noted."
                log.warning("The run begins anew: it cannot go on where it was. %s", why)
                self.refuse(why)
            if not run.refused:
                self._check_files(run.entries)
                self._replay = Replay(run.entries)
                self._turns = Turns(run.entries, run.answers)
                self._note({"event": "resumed"})
                self._resumed_at = self.history.at
                return run.fixed
        self.difference = None
        with self._lock:
            self._note({"event": "run", "about": about, "fixed": fixed})
            self._forget_messages()
        return fixed

    def _check_files(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.reply:
                self._files.check_reply(entry)
        for entry in {latest.station: latest for latest in entries}.values():
            if entry.is_open:
                self._files.check_outline(entry)

    def end(self, status: str) -> None:
        """Note that the run has ended; nothing of it is needed any more."""
        with self._lock:
            self._note({"event": "ended", "status": status})
            self._forget_messages()
        self._files.remove_spare()

    def refuse(self, reason: str) -> None:
        """Note why the run cannot go on: the next `begin` begins anew."""
        self._note({"event": "differs", "why": reason})
        self._remove_unneeded()

    def give_up_resuming(self, why: str) -> None:
        """Note that the run, which goes on now, begins anew if it is killed."""
        if not self._is_given_up:
            log.warning("%s The run goes on; if it is killed, it begins anew.", why)
            try:
                self.refuse(why)
            except OSError:  # on a full disk it is tried again with the next message
                self._unnoted = why

    def check(self) -> None:
        """Raise `Differs` if the run cannot go on."""
        if self.difference is not None:
            raise self.difference

    def check_attached(self) -> None:
        """Raise `UsageError` if it is that of runs, and so none for an attached SuperLink."""
        if self.history.runs:
            raise UsageError(f"The journal {self.folder} is that of a run.", "Use another folder.")

    def check_reached(self, stations: Collection[str], way: str) -> None:
        """Note how stations of an attached SuperLink are reached.

        Parameters
        ----------
        stations : Collection[str]
            Their names.
        way : str
            "over a lane", for example.

        Raises
        ------
        UsageError
            If one has a message that it got in another way: it would be trained here, too.
        """
        for station in stations:
            before = self.history.ways.get(station, way)
            entry = self.history.under_way(station)
            if before != way and entry is not None and not entry.is_answered:
                raise UsageError(
                    f"The journal {self.folder} has a message under way for station {station},"
                    f" which got it {before} and may train it; now it would get it {way}, too.",
                    "Attach it as before until its message is answered, or use another folder.",
                )
        if any(self.history.ways.get(station) != way for station in stations):
            self._note({"event": "reached", "stations": list(stations), "way": way})

    def tell_of_others(self, stations: Collection[str]) -> None:
        """Log which messages are under way at other stations than these."""
        for station in sorted({name for name, _ in self.history.entries} - set(stations)):
            if (entry := self.history.under_way(station)) is not None:
                log.warning(
                    "message %.12s of station %s has no answer yet, and that station is not"
                    " attached now",
                    *(entry.message, station),
                )

    @property
    def work(self) -> Path:
        """The folder for all else that has to survive; it is there."""
        return self._files.work

    @property
    def is_run(self) -> bool:
        """Whether it is that of a run, whose SuperLink dies with the central."""
        return self._replay is not None

    # What a delivery asks

    def folder_of(self, station: str) -> Path:
        """Return the folder for a station's bundles on their way; it is there."""
        return self._files.folder_of(station)

    def unfinished(self, station: str) -> Instruction | None:
        """Return the message that a SuperLink has yet to get the reply to; see `Memory`."""
        entry = self.history.under_way(station)
        if self.is_run:
            return None
        if entry is None:
            return self._unnoted_at(station)
        if entry.reply and not self._files.reply(entry.reply).exists():
            # It is removed when the SuperLink has the reply. A power cut took the note of that.
            self._over(entry, Stage.PUSHED)
            return None
        instruction = self._files.message_of(station)
        if instruction is None or instruction.message_id != entry.message:
            why = "The message itself was lost."
            log.warning("station %s: message %.12s is dropped. %s", station, entry.message, why)
            self.give_up(station, why)
            return None
        return instruction

    def _unnoted_at(self, station: str) -> Instruction | None:
        """Return a message that was kept, but is in no record: of a central that was killed."""
        instruction = self._files.message_of(station)
        if instruction is None or (station, instruction.message_id) in self.history.entries:
            return None  # it is over, and was to be removed
        return instruction

    def give_up(self, station: str, why: str) -> None:
        """Note that the message under way ends without a reply; see `Memory`."""
        entry = self.history.under_way(station)
        if entry is None:
            self._files.forget_message(station)
        else:
            self._over(entry, Stage.DROPPED, why)

    def unconfirmed(self, station: str) -> str:
        """Return a station's last message, if the SuperLink may hand it out again; see `Memory`."""
        entry = self.history.latest(station)
        if self.is_run or entry is None or entry.confirmed or not entry.is_over:
            return ""
        return entry.message

    def supernode_life(self, station: str) -> str:
        """Return the life that a station's SuperNode had when it answered last; see `Memory`."""
        return "" if self.is_run else self.history.lives.get(station, "")

    def past(self, station: str, instruction: Instruction) -> Past:  # noqa: ARG002
        """Return what is known of a message that was just pulled; see `Memory`."""
        current = self._current.get(station)  # none if it could not be noted
        return NOTHING if current is None else current[1]

    def hold(self, station: str, made: Path, bundle: Path, outline: Callable[[], Outline]) -> None:
        """Give an instruction bundle its name, and see to it that it survives; see `Memory`.

        Of a run, an outline does: its ServerApp says the same again.
        """
        if self.is_run:
            self._files.keep_outline(station, outline())
            made.replace(bundle)
        else:
            durable.publish(made, bundle)

    def await_turn(self, station: str, stop: threading.Event, expiry: Deadline) -> None:
        """Wait until the message of a station may have its answer; see `Memory`.

        Not for ever: a station that was there when the run began may be gone.
        """
        entry, past = self._current.get(station, (None, NOTHING))
        if entry is None:
            return
        self._turns.wait(entry, _ORDER_SECONDS + past.took, expiry, stop)

    @contextmanager
    def giving(self, station: str) -> Iterator[None]:
        """Note that the SuperLink gets the reply of a station now; see `Memory`.

        Noted before: what the ServerApp says next may be pulled before the SuperLink has answered.
        """
        entry, _ = self._current.get(station, (None, NOTHING))
        if entry is None or not self.is_run:
            yield
            return
        with self._giving:
            if entry.is_known and not entry.after and not self._is_given_up:
                with suppress(OSError):  # then it counts as given when the SuperLink has it
                    self._note_of(entry, {"event": GIVEN}, sync=False)
            yield

    def taken(self, sent: int, messages: Sequence[str], in_vain: bool) -> None:
        """Note which replies the ServerApp took at once; one that is started again gets them so.

        Parameters
        ----------
        sent : int
            How many messages it had sent by then.
        messages : Sequence[str]
            The names of those that were answered.
        in_vain : bool
            Whether it waited for these replies in vain.
        """
        if not self._is_given_up:
            about = {"sent": sent, "messages": messages, "in_vain": in_vain}
            with suppress(OSError):  # then they count as not taken
                self._note({"event": "taken", **about}, sync=False)

    def started(self, station: str, task: str) -> None:
        """Note what the carrier calls the exchange that has begun; see `Memory`."""
        entry, _ = self._current.get(station, (None, NOTHING))
        if entry is None:
            return  # the run has ended meanwhile
        try:
            self._note_of(entry, {"event": "task", "task": task}, sync=False)
        except OSError as error:  # a successor brings the message again, then
            log.warning("the journal lacks task %s: %s", task, reason_of(error))

    # What happens

    def trace(self, event: Event) -> None:
        """Take an event.

        Raises
        ------
        CarrierError
            If it cannot be written.
        Differs
            If the ServerApp does not say what it said before.
        """
        try:
            if event.stage in OVER and (current := self._current.get(event.station)) is not None:
                self._turns.give(current[0])
            if isinstance(event, Pulled):
                self._pulled(event)
            elif self.is_run and self._is_given_up:
                self._make_room(event)
            else:
                self._later(event)
        except OSError as error:
            if self.is_run and isinstance(event, Pulled):
                title = f"Message {Entry.of(event, '').title} of station {event.station}"
                self._unnoted = f"{title} could not be noted."
            raise CarrierError(
                f"The journal {error.filename or self.folder} cannot be written:"
                f" {error.strerror}. The message was not sent."
            ) from error

    def _pulled(self, event: Pulled) -> None:
        with self._lock:
            self._current.pop(event.station, None)
        if self._unnoted:  # the ServerApp saw an error that a successor would not know
            self.refuse(self._unnoted)
            self._unnoted = ""
        instruction = event.instruction
        entry = Entry.of(event, content_id(instruction) if self.is_run else "")
        with self._lock:
            known = self._known(entry)
            if known is None:
                if not self.is_run:
                    self._files.keep_message(event.station, instruction.encoded)
                # A ServerApp that dies with us sends it again by itself, until a station has it.
                record = {**entry.record(), "event": Stage.PULLED}
                # But if it follows one whose reply is lost, the run has to begin anew.
                before = self.history.latest(event.station)
                sync = not self.is_run or (before is not None and before.is_open)
                self._note_of(entry, record, sync)
                self._current[event.station] = (self.history.entry(entry), NOTHING)
            else:
                self._current[event.station] = (known, self._past_of(known))
            self._files.make_spare()  # which may have been needed since

    def _known(self, entry: Entry) -> Entry | None:
        """Return the entry of a message that was known before."""
        if self._replay is None:
            known = self.history.under_way(entry.station)
            return known if known is not None and known.message == entry.message else None
        try:
            known = self._replay.next(entry)
        except Differs as difference:
            self.difference = self.difference or difference
            raise
        if known is not None:
            self._turns.say(known)
        return known

    def _past_of(self, entry: Entry) -> Past:
        answer = None
        if entry.is_known or (entry.is_answered and not self.is_run):
            bundle = self._files.reply(entry.reply) if entry.reply else None
            answer = Kept(bundle, *entry.error_reply())
        if self.is_run:
            instruction = self._files.outline_of(entry.station)
        else:
            instruction = self.folder_of(entry.station) / "instruction.bundle"
        return Past(
            entry.message,
            answer,
            instruction if instruction.exists() else None,
            entry.task,
            refused=entry.stage == Stage.REFUSED,
            took=entry.took if answer is not None else max(0.0, self._resumed_at - entry.at),
        )

    def _later(self, event: Event) -> None:
        entry, past = self._current.get(event.station, (None, NOTHING))
        if entry is None:
            return  # it could not be noted that it was pulled
        if self.is_run and past.answer is not None:
            return  # all was told of it before
        match event:
            case Drained():
                if event.instruction.message_id != entry.message:
                    entry = self._replace(entry, past, event)
                self._note_of(entry, {"event": event.stage}, sync=False)
            case Sent():
                # Else a ServerApp that sends it again would have it trained again: as another one.
                self._note_of(entry, {"event": event.stage}, sync=self.is_run)
            case Refused():
                self._note_of(entry, {"event": event.stage}, sync=False)
            case Answered():
                if self.is_run and event.bundle and not self._files.has_room_for(event.bundle):
                    self.give_up_resuming(f"The disk of {self.folder} has no room for the replies.")
                elif past.answer is None or event.error is not None:
                    self._note_of(entry, {"event": event.stage, **self._kept(event)})
            case Pushed():
                self._over(entry, event.stage, confirmed=event.confirmed)
            case Dropped():
                # A successor may still deliver the reply.
                if event.expired or not isinstance(event.error, Undelivered):
                    details = self._expired(event) if event.expired and self.is_run else {}
                    self._over(entry, event.stage, str(event.error), event.confirmed, details)

    def _make_room(self, event: Event) -> None:
        """Of a run that will begin anew, keep no reply that its ServerApp has got."""
        if event.stage in OVER:
            with self._lock:
                self._current.pop(event.station, None)
            self._remove_unneeded()

    @property
    def _is_given_up(self) -> bool:
        run = self.history.run
        return run is not None and bool(run.refused)

    def _replace(self, entry: Entry, past: Past, event: Drained) -> Entry:
        """Let a message take the place of one that said the same, of which no reply is left."""
        anew = Entry.of(event, entry.content)
        record = {**anew.record(), "event": Stage.PULLED, "instead": entry.message}
        self._note_of(anew, record, sync=False)
        anew = self.history.entry(anew)
        self._current[event.station] = (anew, Past(took=past.took))
        return anew

    def _expired(self, event: Dropped) -> dict[str, Any]:
        """Return what a record says of the answer that the SuperLink gives to such a message."""
        reply, objects = error_reply(
            *(event.instruction, ErrorCode.MESSAGE_UNAVAILABLE, str(event.error), event.at)
        )
        return record_of_error(reply, objects.__getitem__, called_off=False)

    def _kept(self, event: Answered) -> dict[str, Any]:
        """Keep an answer; returns what a record says of it."""
        if event.bundle is None:
            return record_of_error(event.reply, event.read, isinstance(event.error, Cancelled))
        message = event.instruction.message_id
        reply = self._files.keep_reply(event.bundle, event.station, message)
        return {"reply": reply, "called_off": False, "supernode_life": event.supernode_life}

    def _over(
        self,
        entry: Entry,
        stage: Stage,
        why: str = "",
        confirmed: bool = True,
        details: Mapping[str, Any] = {},
    ) -> None:
        again = {} if confirmed else {"confirmed": False}
        try:
            self._note_of(entry, {"event": stage, "why": why, **again, **details}, sync=False)
        finally:
            # On a full disk, too: without the message a successor does not answer it again.
            if not self.is_run:
                self._files.forget_message(entry.station)
                self._files.forget_reply(entry.station, entry.message)  # a refused one, too
        if not self.is_run:
            self.history.forget(entry)

    # The file

    def _note_of(self, entry: Entry, record: Mapping[str, Any], sync: bool = True) -> None:
        about = {"station": entry.station, "message": entry.message}
        self._note({**about, **record}, sync)

    def _note(self, record: Mapping[str, Any], sync: bool = True) -> None:
        with self._lock:
            record = {"at": round(time.time(), 3), **record}
            self._files.note(lambda: self._records.append(record, sync))
            self.history.add(record)

    def _remove_unneeded(self) -> None:
        """Remove replies that nobody asks for any more."""
        with self._lock:
            needed = self.history.needed_replies()
            if self._replay is not None:  # also one that begins anew later goes on until then
                needed |= self._replay.replies
                needed |= {entry.reply for entry, _ in self._current.values()}
        self._files.forget_replies_but(needed)

    def _forget_messages(self) -> None:
        """Forget a run's messages: no station is asked for one any more."""
        self._replay = Replay()
        self._turns.forget()
        self._current.clear()
        self._remove_unneeded()
        self._files.forget_outlines()

    def close(self) -> None:
        """Let another central use it."""
        self._records.close()
        self._file_lock.close()
