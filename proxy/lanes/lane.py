"""The carrier to stations that are there already: letters on a lane to each of them.

An exchange is one letter to the station and one back. Each names the exchange, whose name nobody
can guess, so that a repeated, late or foreign answer is noticed and dropped. Whether a station is
there it says itself: the central asks now and then, and each question has a name, too.
"""

import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.calls import LONGEST_SECONDS, Mode
from proxy.carriers import Exchange
from proxy.clock import SYSTEM_CLOCK, Deadline
from proxy.errors import BridgeError, Cancelled, CarrierError, reason_of
from proxy.lanes.letters.letter import Head, Kind, LetterRefused, Misaddressed, Replayed, Seal
from proxy.lanes.mailboxes.mailbox import Done, Mailbox, MailboxUnreachable, Room
from proxy.system import durable
from proxy.system.retry import retrying

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
# How often a station is asked whether it is there: while it does not answer, while it does, and
# when it has been silent for long.
_ASK_SECONDS = (3.0, 10.0, 60.0)
_SILENCE_SHARE = 0.5
# After its last answer; some questions may be late.
_PRESENT_SECONDS = 45.0
# So many of the last questions may still be answered: where a mount shows old listings (nfs(5),
# `acdirmax`), question and answer take a minute each.
_QUESTIONS = 4
# A station that is there is heard from by then.
_MISSED_SECONDS = 30.0
_TROUBLE_PAUSE_SECONDS = 2.0
# So often an instruction is sent again because what came back, or arrived there, was no good.
_REPETITIONS = 2


@dataclass(frozen=True)
class End:
    """The central's end of the lane to one station."""

    mailbox: Mailbox
    seal: Seal


class LaneCarrier:
    """Implements `proxy.carriers.Carrier` with a lane to each station.

    Parameters
    ----------
    ends : Mapping[str, End]
        By station.
    mode : Mode
        How the app runs.
    folder : Path
        An existing folder, for letters on their way.
    """

    def __init__(self, ends: Mapping[str, End], mode: Mode, folder: Path) -> None:
        self._lines = {name: _Line(name, end, mode, folder / name) for name, end in ends.items()}

    @property
    def stations(self) -> Sequence[str]:
        """The names of the stations."""
        return list(self._lines)

    def prepare(self, station: str, node_id: int) -> None:  # noqa: ARG002
        """Begin to listen to a station. Its node id is in each instruction."""
        self._lines[station].start()

    def online(self, station: str) -> bool:
        """Whether the station answered lately."""
        return self._lines[station].online

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Bring a bundle to a station and its answer back; see `Carrier.exchange`."""
        self._lines[station].exchange(exchange)

    def close(self) -> None:
        """Stop listening. The stations stay."""
        for line in self._lines.values():
            line.end()
        for line in self._lines.values():
            line.close()


@dataclass
class _Waiting:
    """An exchange that is under way."""

    exchange: Exchange
    letter: Path
    deadline: Deadline
    name: str
    arrived: threading.Event = field(default_factory=threading.Event)
    closed: bool = False  # the letter; before, it is not known which station is there
    refusals: int = 0
    again: bool = False  # the letter has to be sent again
    lacks_room: bool = False  # on the disk, for what came; the log says it
    error: CarrierError | None = None


class _Line:
    """The lane to one station. A thread takes what comes; others send."""

    def __init__(self, station: str, end: End, mode: Mode, folder: Path) -> None:
        self._station = station
        self._mailbox, self._seal = end.mailbox, end.seal
        self._done = Done(end.mailbox)
        self._mode = mode
        self._folder = folder
        folder.mkdir(exist_ok=True)
        for path in folder.glob("arrived.*"):  # of a central that was killed
            path.unlink()
        self._sending = threading.Lock()  # what is sent, and what is waited for
        self._waiting: _Waiting | None = None
        self._sent_at = 0
        self._life = secrets.token_hex(8)  # with it the names begin that are asked by from here
        self._shared = False
        self._ping = ""  # the question without an answer
        self._asked: dict[str, str | None] = {}  # the last ones, and whose answer counted
        self._asked_at = 0.0
        self._unwanted = ""  # an exchange of which the station may not know that nobody wants it
        self._instance: str | None = None  # that of the station that the line speaks to
        self._heard = threading.Event()
        self._is_missed = False  # the log says that it was never heard from
        self._others: set[str] = set()
        self._wiped = False
        self._ping_due = 0.0
        self._seen = float("-inf")
        self._silent_since = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"lane {station}", daemon=True)

    @property
    def online(self) -> bool:
        return time.monotonic() - self._seen < _PRESENT_SECONDS

    def start(self) -> None:
        """Begin to listen, unless that was done."""
        if self._thread.ident is None:
            self._silent_since = time.monotonic()
            self._thread.start()

    def end(self) -> None:
        self._ending.set()

    def close(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(_TROUBLE_PAUSE_SECONDS)
        self._mailbox.close()

    def exchange(self, exchange: Exchange) -> None:
        if exchange.cancelled.is_set():
            raise Cancelled("Stopped before a station got its message.")
        deadline = Deadline.after(max(0.0, min(exchange.timeout, LONGEST_SECONDS)))
        letter = self._folder / "instruction.letter"
        waiting = _Waiting(exchange, letter, deadline, self._new_name())
        try:
            # To one station, by what it calls itself: of two with the same name, one trains.
            self._waiting = waiting
            while not self._heard.wait(_LOOK_SECONDS):
                self._go_on(waiting)
            with self._sending:
                self._keep_to_one(exchange)
                head = self._head(Kind.INSTRUCTION, waiting.name, exchange.message_id)
                self._seal.close(head, exchange.instruction, waiting.letter)
                waiting.closed = True
            self._send_again(waiting)
            while not waiting.arrived.wait(_LOOK_SECONDS):
                self._go_on(waiting)
            if waiting.error is not None:
                raise waiting.error
        except CarrierError:
            self._withdraw(waiting)
            raise
        finally:
            self._waiting = None
            waiting.letter.unlink(missing_ok=True)

    def _keep_to_one(self, exchange: Exchange) -> None:
        """Note which station gets a message; raises if an earlier central gave it to another."""
        instance = self._instance or ""
        if exchange.task not in ("", instance):
            raise self._replaced()
        exchange.started(instance)

    def _replaced(self) -> CarrierError:
        return CarrierError(
            f"Station {self._station} was replaced by a station with another folder, which does not"
            " know whether the message was answered."
        )

    def _go_on(self, waiting: _Waiting) -> None:
        """Raise what ends an exchange before its answer is there, if something does."""
        if waiting.error is not None:
            raise waiting.error
        if waiting.exchange.cancelled.is_set():
            raise Cancelled("Stopped while a station had a message.")
        if waiting.deadline.passed:
            raise CarrierError(
                f"Station {self._station} did not answer within {waiting.exchange.timeout:.0f} s;"
                f" it is {'online' if self.online else 'not heard from'}."
            )

    def _send_again(self, waiting: _Waiting) -> None:
        def send() -> None:
            with self._sending:
                self._mailbox.send(waiting.letter)

        retrying(send, waiting.exchange.cancelled, waiting.deadline, MailboxUnreachable)

    def _withdraw(self, waiting: _Waiting) -> None:
        """Tell the station that nobody wants its answer any more.

        It is told again with each question, until it says that it has heard that.
        """

        def tell() -> None:
            with self._sending:
                self._ask_now()

        with self._sending:
            self._waiting, self._unwanted = None, waiting.name
        soon = Deadline.after(_TROUBLE_PAUSE_SECONDS)
        try:
            retrying(tell, self._ending, soon, MailboxUnreachable)
        except (BridgeError, OSError) as error:
            log.warning(
                "station %s could not be told that nobody waits for its answer any more: %s",
                *(self._station, error),
            )

    def _send(self, kind: Kind, name: str) -> None:
        letter = self._folder / f"{kind}.letter"
        self._seal.close(self._head(kind, name), None, letter)
        self._mailbox.send(letter)

    def _head(self, kind: Kind, name: str, message_id: str = "") -> Head:
        self._sent_at = max(self._sent_at + 1, int(SYSTEM_CLOCK.time() * 1e9))
        return Head(
            *(kind, self._station, name, message_id, self._sent_at, self._mode),
            instance=self._instance or "",
        )

    # What comes

    def _listen(self) -> None:
        letter, body = self._folder / "arrived.letter", self._folder / "arrived.bundle"
        while not self._ending.is_set():
            try:
                self._ask()
                self._miss()
                self._done.tell()
                try:
                    self._receive(letter, body)
                except LetterRefused as error:
                    self._refuse(error)
                finally:
                    for path in (letter, body):  # either may have the size of a reply
                        path.unlink(missing_ok=True)
                    Room.let_go(letter)
                self._repeat()
            except (BridgeError, OSError) as error:
                log.warning("station %s: %s", self._station, error)
                self._ending.wait(_TROUBLE_PAUSE_SECONDS)
            except Exception:
                log.exception("station %s: internal error; please report it", self._station)
                self._ending.wait(_TROUBLE_PAUSE_SECONDS)

    def _receive(self, letter: Path, body: Path) -> None:
        """Take the next letter, if one comes. One that finds no room waits for it on the lane."""
        if name := self._mailbox.receive(letter, _LOOK_SECONDS):
            is_taken = True
            try:
                is_taken = self._take(letter, body)
            finally:
                if is_taken:
                    self._done.add(name)
            if not is_taken:
                letter.unlink(missing_ok=True)
                Room.let_go(letter)
                self._mailbox.postpone(name)
                self._ending.wait(_TROUBLE_PAUSE_SECONDS)

    def _ask(self) -> None:
        """Ask the station whether it is there, if it is time. It answers while it trains, too."""
        with self._sending:
            if time.monotonic() >= self._ping_due:
                self._ask_now()

    def _miss(self) -> None:
        """Say once that the station was not heard from: a run may end well without it."""
        silent = time.monotonic() - self._silent_since
        if not (self._heard.is_set() or self._is_missed or silent < _MISSED_SECONDS):
            self._is_missed = True
            log.warning(
                "station %s has not been heard from on its lane. Start it, and see that its lane is"
                " the same and that each end has the other's key",
                self._station,
            )

    def _ask_now(self) -> None:
        # What got no answer, or is a predecessor's, shall not lie there for ever; but an
        # instruction does.
        waiting, now = self._waiting, time.monotonic()
        wipes = waiting is None or not waiting.closed
        wipes = wipes and bool(self._ping or self._unwanted or not self._wiped)
        # A question that is repeated keeps its name: whichever copy is answered, the station is
        # there. An answer that comes much later, or again, says nothing.
        if not self._ping or now - self._asked_at > _PRESENT_SECONDS:
            self._new_question()
        shortest, _, longest = _ASK_SECONDS
        silent = now - self._silent_since
        self._ping_due = now + min(max(shortest, _SILENCE_SHARE * silent), longest)
        if wipes:
            self._mailbox.wipe()
            self._wiped = True
        if self._unwanted:
            self._send(Kind.WITHDRAWAL, self._unwanted)
        self._send(Kind.PING, self._ping)

    def _new_question(self) -> None:
        self._ping = self._new_name()
        self._asked_at = time.monotonic()
        self._asked[self._ping] = None
        if len(self._asked) > _QUESTIONS:
            del self._asked[next(iter(self._asked))]

    def _new_name(self) -> str:
        """Return the name of an exchange or question, which nobody can guess."""
        return self._life + secrets.token_hex(16)

    def _take(self, letter: Path, body: Path) -> bool:
        """Use a letter; returns whether that was possible, or has to wait for room on the disk."""
        try:
            head = self._seal.open(letter, body)
            if head.station != self._station:
                raise Misaddressed(f"A letter is of station {head.station[:64]!r}.")
            self._heed(head, body)
        except LetterRefused as error:
            self._refuse(error)
        except OSError as error:
            if error.errno in durable.NO_ROOM and self._may_wait():
                return False
            self._fail(CarrierError(f"A letter cannot be written: {reason_of(error)}."))
        return True

    def _may_wait(self) -> bool:
        """Whether a letter may be awaited that finds no room now; the log says so once."""
        waiting = self._waiting
        if waiting is None or waiting.deadline.passed:
            return False
        if not waiting.lacks_room:
            log.warning("station %s: a letter waits for room on the disk", self._station)
            waiting.lacks_room = True
        return True

    def _heed(self, head: Head, body: Path) -> None:
        waiting = self._waiting
        match head.kind:
            case Kind.PONG if self._is_new(head):
                with self._sending:
                    self._meet(head)
                    if head.exchange == self._unwanted:
                        self._unwanted = ""
            case Kind.REPLY if waiting is not None and head.exchange == waiting.name:
                self._seen = self._silent_since = time.monotonic()
                if not waiting.arrived.is_set():
                    body.replace(waiting.exchange.reply)
                    waiting.arrived.set()
            case Kind.REFUSAL if waiting is not None:
                raise LetterRefused(f"Station {self._station} refused a letter: {head.reason}")
            case Kind.PONG | Kind.REPLY | Kind.REFUSAL:
                error = Replayed(
                    "A letter answers nothing that is under way; it is late or repeated."
                )
                log.info("station %s: a letter is passed over: %s", self._station, error.named)
                if head.kind == Kind.PONG:
                    self._notice_another(head.exchange)
            case _:
                raise Misaddressed(f"A letter of kind {head.kind} is not for a central.")

    def _is_new(self, answer: Head) -> bool:
        """Whether an answer is to something that was asked lately, and did not count already."""
        question = answer.exchange
        if question and question == self._unwanted:
            return True
        return self._asked.get(question, answer.instance) != answer.instance

    def _notice_another(self, question: str) -> None:
        """Say once that another central asks, too.

        A station answers in turn: a predecessor's questions before ours.
        """
        asked_here = question.startswith(self._life) or not question
        if self._heard.is_set() and not asked_here and not self._shared:
            self._shared = True
            log.error(
                "station %s answers a question that was not asked by this central: another one may"
                " use its lane and key; they take each other's letters, so stop one of them",
                self._station,
            )

    def _meet(self, answer: Head) -> None:
        """Note that a station of the name is there: it is ours, or if ours is gone, its successor.

        What the predecessor had is not sent to a successor, which does not know what was trained.
        """
        instance = answer.instance
        if instance != self._instance and self._instance is not None:
            if self.online:
                if instance not in self._others:
                    log.error(
                        "two stations have the name %s, the same key and lane, and folders of their"
                        " own: only the first one gets messages; give each a name of its own",
                        self._station,
                    )
                self._others.add(instance)
                return
            log.warning("station %s is another one now, with another folder", self._station)
            self._fail(self._replaced())
        self._others.discard(instance)
        now, (_, usual, _) = time.monotonic(), _ASK_SECONDS
        if self._ping:
            self._ping_due = now + usual
        self._ping = ""
        if answer.exchange in self._asked:
            self._asked[answer.exchange] = instance
        self._seen = self._silent_since = now
        self._instance = instance
        self._heard.set()

    def _refuse(self, error: LetterRefused) -> None:
        """Have the instruction sent again: the station answers with the reply that it has."""
        log.warning("station %s: a letter is refused: %s", self._station, error.named)
        waiting = self._waiting
        if waiting is None or waiting.arrived.is_set():
            return
        waiting.refusals += 1
        if waiting.refusals > _REPETITIONS:
            self._fail(error)
        else:
            waiting.again = waiting.closed

    def _repeat(self) -> None:
        """Send the instruction again, if it has to be; raises if that has to be tried again."""
        with self._sending:
            waiting = self._waiting
            if waiting is not None and waiting.again and not waiting.arrived.is_set():
                self._mailbox.send(waiting.letter)
                waiting.again = False

    def _fail(self, error: CarrierError) -> None:
        """Let the exchange that is under way, if there is one, end with an error."""
        waiting = self._waiting
        if waiting is not None and not waiting.arrived.is_set():
            waiting.error = error
            waiting.arrived.set()
