"""A station that stays: answers what comes on its lane, for one central after the other.

Two threads. One takes letters as they come, also while a ClientApp works: it says that the station
is there, and ends work that nobody wants any more. The other has instructions answered, one after
the other, in the job's folder (`algorithm.station.job`), as hosts and couriers do.

A letter is `done` only when its answer is on the lane. So after a kill or a reboot it comes again,
and the job's folder says how far it had come: it is answered with the reply that is there, or with
a failure if a ClientApp had it. It is never trained twice.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from algorithm.station.answer import answer, fail
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy
from algorithm.station.runtime import NoReply, Runtime
from algorithm.station.warm import Warm
from proxy.calls import LONGEST_SECONDS, Mode
from proxy.client import Delivery
from proxy.clock import SYSTEM_CLOCK, Clock, Deadline
from proxy.errors import BridgeError, Cancelled, reason_of
from proxy.fleet.messages import ErrorCode
from proxy.lanes.letters.letter import Head, Kind, LetterRefused, Misaddressed, Replayed, Seal
from proxy.lanes.mailboxes.mailbox import Done, Mailbox, MailboxUnreachable
from proxy.system.retry import retrying

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_TROUBLE_PAUSE_SECONDS = 2.0
_STOP_SECONDS = 5.0
# No message lives longer. A letter whose central's clock says that it is older is a repetition; for
# twice as long, because that clock may be wrong by as much, it is known what was trained.
_OLDEST_LETTER_SECONDS = LONGEST_SECONDS + 24 * 3600.0
_KEEP_MARKS_SECONDS = 2 * _OLDEST_LETTER_SECONDS
_TIDY_SECONDS = 24 * 3600.0
_MOST_OTHERS = 1000

Start = Callable[[int], Runtime]


@dataclass
class _Order:
    """An instruction that came.

    Attributes
    ----------
    head : Head
        Its letter's.
    letter : str
        What the mailbox calls the letter.
    body : Path
        The bundle.
    sending : bool
        Whether the answer may be on the lane: an instruction that comes again from then on may mean
        that it arrived there altered.
    replied : bool
        Whether the answer is on the lane.
    again : bool
        Whether it has to be sent again.
    unwanted : threading.Event
        Set when nobody wants the answer any more.
    """

    head: Head
    letter: str
    body: Path
    sending: bool = False
    replied: bool = False
    again: bool = False
    unwanted: threading.Event = field(default_factory=threading.Event)


class Resident:
    """The station, until something ends it.

    Parameters
    ----------
    name : str
        The station's.
    job : Job
        Its folder, of which it is the host.
    mailbox : Mailbox
        Its end of the lane.
    seal : Seal
        Closes and opens letters.
    starts : Callable[[Mode], Start]
        What starts a runtime in each mode.
    policy : Policy
        What may run.
    warm : bool
        Whether a runtime is kept for the next message.
    clock : Clock
        Tells the station's time.
    """

    def __init__(
        self,
        name: str,
        job: Job,
        mailbox: Mailbox,
        seal: Seal,
        starts: Callable[[Mode], Start],
        policy: Policy,
        warm: bool,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = name
        self._clock = clock
        self._job = job
        self._instance = job.instance
        # Letters for another station of our name: they are its own to remove, while it is there.
        self._others: deque[str] = deque(maxlen=_MOST_OTHERS)
        self._mailbox, self._seal = mailbox, seal
        self._done = Done(mailbox)  # with letters that are no instructions
        self._unsent: Head | None = None  # what the central has to hear, and may not have heard
        self._starts, self._policy = starts, policy
        self._keep_warm = warm
        self._warm: Warm | None = None
        self._mode: Mode | None = None
        self._folder = job.folder / "letters"
        self._folder.mkdir(exist_ok=True)
        # What a kill left comes again.
        for letter in self._folder.iterdir():
            letter.unlink()
        job.forget_instructions()
        self._orders: queue.Queue[_Order | None] = queue.Queue()
        self._lock = threading.Lock()  # for the next four
        self._wanted: dict[str, _Order] = {}  # by exchange: what waits, and what is under way
        self._current: _Order | None = None
        self._serving: Runtime | None = None
        self._newest = self._head(Kind.INSTRUCTION, "")  # that was sent last, of those that came
        self._received = 0
        self._end = threading.Event()

    def end(self) -> None:
        """Let `serve` return once nothing is under way; from another thread."""
        self._orders.put(None)

    def serve(self) -> None:
        """Answer what comes, until an exception ends it: then what is under way gets a failure."""
        listener = threading.Thread(target=self._listen, name="letters", daemon=True)
        listener.start()
        try:
            tidied = float("-inf")
            while True:
                if self._clock.monotonic() - tidied > _TIDY_SECONDS:
                    self._job.forget_older(_KEEP_MARKS_SECONDS)
                    tidied = self._clock.monotonic()
                with suppress(queue.Empty):
                    order = self._orders.get(timeout=_TIDY_SECONDS)
                    if order is None:
                        return
                    self._serve(order)
        finally:
            self._end.set()
            self._stop_runtime()
            self._answer_at_the_end()
            listener.join(_STOP_SECONDS)

    # What comes

    def _listen(self) -> None:
        while not self._end.is_set():
            letter = self._folder / "arrived.letter"
            try:
                self._send_unsent()
                self._done.tell()
                try:
                    if name := self._mailbox.receive(letter, _LOOK_SECONDS):
                        self._take(name, letter)
                finally:
                    letter.unlink(missing_ok=True)
            except LetterRefused as error:
                self._refuse(error.named)
            except (BridgeError, OSError) as error:
                log.warning("%s", error)
                self._end.wait(_TROUBLE_PAUSE_SECONDS)
            except Exception:
                log.exception("internal error; please report it")
                self._end.wait(_TROUBLE_PAUSE_SECONDS)

    def _take(self, name: str, letter: Path) -> None:
        self._received += 1
        body = self._folder / f"{self._received}.bundle"
        try:
            head = self._seal.open(letter, body)
            self._check(head)
        except (LetterRefused, OSError) as error:
            reason = error.named if isinstance(error, LetterRefused) else reason_of(error)
            for path in (body, letter):  # the disk may be full
                path.unlink(missing_ok=True)
            self._refuse(reason)
            self._done.note(name)
            return
        if head.instance not in ("", self._instance):
            body.unlink(missing_ok=True)
            self._leave(name, head)
            return
        # Whom they are for is gone: the central speaks to us now.
        self._done.note(*self._others)
        self._others.clear()
        if head.kind == Kind.INSTRUCTION and self._accept(_Order(head, name, body)):
            return
        if head.kind == Kind.WITHDRAWAL:
            self._withdraw(head)
        if head.kind in (Kind.PING, Kind.WITHDRAWAL):
            self._unsent = self._head(Kind.PONG, head.exchange)
        body.unlink(missing_ok=True)
        if not self._needs(name):
            self._done.add(name)

    def _leave(self, name: str, head: Head) -> None:
        """Leave a letter to another station of our name; only the central hears of us."""
        if not self._others:
            log.warning(
                "another station has the name %s, the same key and lane, and another folder. The"
                " central speaks to that one, and this one does nothing meanwhile. Give each"
                " station a name of its own",
                self._name,
            )
        self._others.append(name)
        if head.kind == Kind.PING:
            self._unsent = self._head(Kind.PONG, head.exchange)

    def _send_unsent(self) -> None:
        """Say what the central has to hear before the next letter is taken.

        That is that the station is there, or that a letter was not used. Raises if that has to be
        tried again.
        """
        if self._unsent is not None:
            self._send(self._unsent)
            self._unsent = None

    def _head(self, kind: Kind, exchange: str, message_id: str = "", reason: str = "") -> Head:
        instance = self._instance
        return Head(kind, self._name, exchange, message_id, reason=reason, instance=instance)

    def _refuse(self, reason: str) -> None:
        """Have the central hear that a letter was not used."""
        log.warning("a letter is refused: %s", reason)
        self._unsent = self._head(Kind.REFUSAL, "", reason=reason)

    def _check(self, head: Head) -> None:
        if head.station != self._name:
            raise Misaddressed(
                f"A letter is for station {head.station[:64]!r}, not {self._name!r}."
            )
        if head.kind not in (Kind.PING, Kind.INSTRUCTION, Kind.WITHDRAWAL):
            raise Misaddressed(f"A letter of kind {head.kind} is not for a station.")
        if abs(int(self._clock.time() * 1e9) - head.sent_at) > _OLDEST_LETTER_SECONDS * 1e9:
            raise Replayed(
                "A letter is older than any message lives, or from the future. If it was sent just"
                " now, the clocks of central and station differ by more than a month."
            )
        if head.kind == Kind.INSTRUCTION:
            self._message(head)

    def _accept(self, order: _Order) -> bool:
        """Let an instruction wait for its turn; returns whether it is not there already."""
        with self._lock:
            if order.head.sent_at <= self._newest.sent_at:
                came = Replayed("An instruction came again, or after a later one.")
                log.info("message %.12s: %s", order.head.message_id, came.named)
            if known := self._wanted.get(order.head.exchange):
                if known.letter != order.letter:  # else nobody sent it again
                    known.again = known.sending
                return False
            self._wanted[order.head.exchange] = order
            self._orders.put(order)
            if order.head.sent_at > self._newest.sent_at:
                # A central has one exchange with a station at a time.
                self._newest = order.head
                for older in self._wanted.values():
                    if older.head.message_id != order.head.message_id:
                        self._call_off(older)
        return True

    def _is_sent_anew(self, order: _Order) -> bool:
        """Whether its message waits in a later exchange: its central was killed, and is back."""
        with self._lock:
            return any(
                later.head.message_id == order.head.message_id
                and later.head.sent_at > order.head.sent_at
                for later in self._wanted.values()
            )

    def _needs(self, letter: str) -> bool:
        """Whether an instruction waits or is under way whose letter has to come after a kill."""
        with self._lock:
            return any(order.letter == letter for order in self._wanted.values())

    def _withdraw(self, head: Head) -> None:
        with self._lock:
            if order := self._wanted.get(head.exchange):
                log.info("message %.12s is not wanted any more", order.head.message_id)
                self._call_off(order)

    def _call_off(self, order: _Order) -> None:
        order.unwanted.set()
        if order is self._current and self._serving is not None:
            self._serving.stop()

    # What is answered

    def _serve(self, order: _Order) -> None:
        with self._lock:
            self._current = order
        try:
            self._answer(order)
        except Exception as error:
            log.error("message %.12s cannot be answered: %s", order.head.message_id, error)
            if not isinstance(error, BridgeError | OSError):
                log.exception("internal error; please report it")
            # Until the central withdraws it: a full disk may have room again, or a lane be back.
            self._end.wait(_TROUBLE_PAUSE_SECONDS)
            self._orders.put(order)
            return
        with self._lock:
            self._current = None
            if order.again and not order.unwanted.is_set():
                order.sending = order.replied = order.again = False
                self._orders.put(order)
                return
            del self._wanted[order.head.exchange]
        order.body.unlink(missing_ok=True)

    def _answer(self, order: _Order) -> None:
        """Answer an order, unless nobody wants that any more; then its letter is done."""
        try:
            if not order.replied and not self._is_sent_anew(order):
                self._reply(order, self._answered(order))
        except Cancelled:
            log.info("message %.12s: its answer is not wanted any more", order.head.message_id)
            self._message(order.head).forget()
        self._mailbox.done(order.letter)

    def _answered(self, order: _Order) -> Message:
        """Return the message when it has its answer, or what the station has in its place."""
        if order.unwanted.is_set():
            raise Cancelled("Withdrawn before it began.")
        message, came = self._message(order.head), order.body.exists()
        if message.answered() or (message.missing.exists() and not came):
            return message
        newest = self._newest
        if order.head.sent_at < newest.sent_at and message.message_id != newest.message_id:
            fail(self._job, message, _OUTRUN)
        else:
            if came:
                message.missing.unlink(missing_ok=True)  # said of an earlier letter
                order.body.replace(message.instruction)
            usable = False
            try:
                usable = answer(self._job, message, self._runtime(order), self._policy)
            finally:
                self._after(order, usable)
        if order.unwanted.is_set():
            raise Cancelled("Withdrawn.")
        return message

    def _message(self, head: Head) -> Message:
        try:
            return self._job.message(head.message_id)
        except ValueError as error:
            raise LetterRefused(f"A letter names a message wrongly: {error}.") from error

    def _runtime(self, order: _Order) -> Start:
        """Return what answers the order, and can be stopped when that is not wanted any more."""

        def runtime(node_id: int) -> Runtime:
            mode = order.head.mode
            if self._warm is None or self._mode != mode:
                self._stop_runtime()
                self._warm = Warm(self._policy.permitting(mode, self._starts(mode)))
                self._mode = mode
            return _Stoppable(self, order, self._warm.get(node_id))

        return runtime

    def _after(self, order: _Order, usable: bool) -> None:
        if self._warm is None:
            return
        if not self._keep_warm:
            self._warm.stop()
        elif not usable:
            if order.unwanted.is_set():  # we ended it
                log.info(
                    "the SuperNode or ClientApp process is replaced: its message is not wanted any"
                    " more"
                )
            else:
                log.warning("the SuperNode or ClientApp process failed and is replaced")
            self._warm.replace()

    def serve_with(
        self, runtime: Runtime, order: _Order, delivery: Delivery, seconds: float
    ) -> None:
        """Have a runtime answer a message, unless nobody wants that any more."""
        with self._lock:
            if order.unwanted.is_set():
                raise NoReply(ErrorCode.NODE_UNAVAILABLE, "Nobody wants the answer any more.")
            self._serving = runtime
        try:
            runtime.serve(delivery, seconds)
        finally:
            with self._lock:
                self._serving = None

    def _reply(self, order: _Order, message: Message) -> None:
        """Send the answer, or what the station has in its place."""
        head = self._head(Kind.REPLY, order.head.exchange, message.message_id)
        letter = self._folder / "reply.letter"
        answered = message.missing
        if message.answered():  # for good; and the letter may need the instruction's room
            answered = message.reply
            message.forget_instruction()
            order.body.unlink(missing_ok=True)
        try:
            self._seal.close(head, answered, letter)
            with self._lock:
                order.sending = True
            retrying(
                lambda: self._mailbox.send(letter),
                *(order.unwanted, Deadline.after(LONGEST_SECONDS), MailboxUnreachable),
            )
        finally:
            letter.unlink(missing_ok=True)
        order.replied = True
        message.forget_instruction()

    def _send(self, head: Head) -> None:
        letter = self._folder / f"{head.kind}.letter"
        self._seal.close(head, None, letter)
        self._mailbox.send(letter)

    # The end

    def _stop_runtime(self) -> None:
        if self._warm is not None:
            self._warm.stop()

    def _answer_at_the_end(self) -> None:
        """Answer what is under way with a failure; what waits is answered by a successor."""
        order = self._current
        if order is None or order.unwanted.is_set():
            return
        # Once: a lane that does not answer delays the end by a minute at most.
        order.unwanted.set()
        try:
            message = self._message(order.head)
            fail(self._job, message, "The station was stopped while it had the message.")
            self._reply(order, message)
            self._mailbox.done(order.letter)
        except (BridgeError, OSError) as error:
            log.warning("message %.12s: %s", order.head.message_id, error)


_OUTRUN = (
    "The station did not begin with this message: a later one came first. If the central's clock"
    " was set back, start the station anew."
)


class _Stoppable:
    """Implements `algorithm.station.runtime.Runtime` for one order."""

    def __init__(self, resident: Resident, order: _Order, runtime: Runtime) -> None:
        self._resident, self._order, self._runtime = resident, order, runtime

    @property
    def node_id(self) -> int:
        return self._runtime.node_id

    @property
    def running(self) -> bool:
        return self._runtime.running

    def serve(self, delivery: Delivery, deadline: float) -> None:
        self._resident.serve_with(self._runtime, self._order, delivery, deadline)

    def stop(self) -> None:
        self._runtime.stop()
