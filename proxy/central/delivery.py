"""One message's delivery: from the SuperLink to a station, and its reply back to the SuperLink.

Delivery is at most once to train, exactly once to answer. A message that was pulled gets one
reply: the ClientApp's, or an error reply that says why there is none. Whatever is raised in between
becomes an error reply, whose code is in `_CODES`. A reply's bytes are fixed before the first
attempt to push it. Nobody is owed a reply when the run has ended, the SuperLink does not know the
node any more, or the message has expired.

The stages of a delivery, and what each may become, are in `proxy.central.events`.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from proxy.bundle import ANNOUNCEMENT_BYTES, Bundle
from proxy.carriers import Exchange
from proxy.central.drain import Drain
from proxy.central.events import (
    NEXT,
    Answered,
    Drained,
    Dropped,
    Event,
    Pulled,
    Pushed,
    Refused,
    Sent,
    Stage,
    Trace,
)
from proxy.central.memory import NOTHING, Differs, Kept
from proxy.central.outline import Outline
from proxy.central.push import Push
from proxy.central.stations import Station, Terms
from proxy.central.steps import title_of
from proxy.clock import Deadline
from proxy.errors import (
    BridgeError,
    BundleError,
    BundleUnwritten,
    Cancelled,
    CarrierError,
    FleetError,
    ReplyRefused,
    RunNotRunning,
    Undelivered,
    UnknownNode,
    Unreachable,
)
from proxy.fleet.contents import Read, readdressed
from proxy.fleet.messages import ErrorCode, Instruction, Reply, error_reply
from proxy.fleet.metrics import OBJECT_BYTES, Metrics, metrics_in, metrics_of
from proxy.fleet.releases import Layout
from proxy.fleet.replies import check_reply
from proxy.system.retry import retrying

log = logging.getLogger(__name__)

# The station's own deadline comes this much before the central's: it knows the reason better.
_GRACE_SECONDS = 10.0
_NOTHING: Mapping[str, float] = {}

# The code of the error reply that an exception becomes; the nearest of its base classes decides.
# None: nobody is owed a reply, or none can be delivered.
_CODES: Mapping[type[BaseException], ErrorCode | None] = {
    RunNotRunning: None,
    UnknownNode: None,
    Undelivered: None,
    Differs: None,
    Cancelled: ErrorCode.NODE_UNAVAILABLE,
    CarrierError: ErrorCode.NODE_UNAVAILABLE,
    OSError: ErrorCode.NODE_UNAVAILABLE,
    BundleUnwritten: ErrorCode.NODE_UNAVAILABLE,
    BundleError: ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ReplyRefused: ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    FleetError: ErrorCode.MESSAGE_UNAVAILABLE,
    Exception: ErrorCode.UNKNOWN,
}


class _Superseded(BaseException):
    """The message got its answer from another thread. No error, so nobody makes one of it."""


class Delivery:
    """Gets one message answered.

    Parameters
    ----------
    station : Station
        The station that it is for; it has one delivery at a time.
    terms : Terms
        What is the same for all.
    instruction : Instruction
        The message, just pulled.
    trace : Callable[[Event], None]
        Hears of each stage before anything else is done.
    """

    def __init__(
        self, station: Station, terms: Terms, instruction: Instruction, trace: Trace
    ) -> None:
        self._station = station
        self._stop, self._clock = terms.stop, terms.clock
        self._memory = terms.memory
        self._past = NOTHING
        self._instruction = instruction
        self._steps = terms.steps
        self._step = self._steps.number(station.name, instruction, self._clock.monotonic())
        self._trace = trace
        self._stage: Stage | None = None
        self._advancing = threading.Lock()
        self._answerer = 0  # the thread that answered, or none yet
        self._pulled_at = self._clock.time()
        lives = instruction.expires_at - self._pulled_at
        self._expiry = Deadline.after(lives, self._clock)
        self._grace = min(_GRACE_SECONDS, lives / 10)
        self._station_seconds = min(terms.seconds, lives - 2 * self._grace)
        self._drain = Drain(station, terms, instruction, self._station_seconds)
        # Measured since the last event, and in all.
        self._seconds: dict[str, float] = {}
        self._bytes_back = 0

    def run(self) -> None:
        """Deliver the message, and its reply.

        Raises
        ------
        RunNotRunning, UnknownNode
            If the SuperLink wants no reply any more.
        Undelivered
            If the SuperLink was out of reach until the message expired, or the bridge was stopped.
        FleetError
            If the SuperLink refused even an error reply.
        """
        with suppress(_Superseded), self._dropping(), self._emptied_folder(), ExitStack() as opened:
            try:
                self._advance(Pulled(**self._event()))
                self._past = self._memory.past(self._station.name, self._instruction)
                answered = self._recalled(opened) or self._ask_station(opened)
            except Exception as error:
                answered = self._error_answer(error)
            self._answer(answered)

    def fail(self, error: Exception) -> None:
        """Answer with an error reply at once, unless there is an answer; `run` then ends.

        May be called from another thread than `run`, or in its place. Raises what `run` raises.
        """
        with suppress(_Superseded), self._dropping():
            if self._stage is None:
                with suppress(Exception):  # it is answered with an error anyway
                    self._advance(Pulled(**self._event()))
            with self._advancing:  # until it is noted that the message was pulled
                past = self._memory.past(self._station.name, self._instruction)
            if past.answer is None:
                self._answer(self._error_answer(error))
            # Else the SuperLink may have that answer already: `run` pushes no other.

    @property
    def confirmed(self) -> bool:
        """Whether the SuperLink knows that the message arrived, and does not repeat it."""
        return self._drain.confirmed

    # What is known of it from before

    def _recalled(self, opened: ExitStack) -> Answered | None:
        """Return the answer that is known, or that a station has to the same message."""
        past = self._past
        if past.answer is not None:
            return self._kept(past.answer, opened)
        if past.instruction is None or past.message_id in ("", self._instruction.message_id):
            return None
        try:
            earlier = opened.enter_context(Bundle(past.instruction))
        except BundleError:  # a power cut came before it was sent
            return None
        if earlier.header.message_id != past.message_id:
            return None
        with self._measured("drain"):
            self._drain.fetch_earlier(Outline.read(earlier))
        try:
            answer = self._ask_for(opened, past.message_id)
            if answer.header.WhichOneof("content") == "reply":
                return self._reply_to(past.message_id, answer)
        except (BundleError, FleetError) as error:
            log.info("station %s: no reply from before: %s", self._station.name, error.message)
        return None  # the station begins with the new message

    def _ask_for(self, opened: ExitStack, message_id: str) -> Bundle:
        """Return a station's answer to the message that it got before.

        Only the station knows whether it has one: trouble on the way does not mean that it has not.
        """
        try:
            return self._carry(opened, message_id)
        except Cancelled:
            raise
        except (CarrierError, BundleError) as error:
            log.info("station %s is asked again: %s", self._station.name, error.message)
        return self._carry(opened, message_id)

    def _kept(self, kept: Kept, opened: ExitStack) -> Answered:
        if kept.bundle is not None:
            answer = opened.enter_context(Bundle(kept.bundle))
            if answer.header.message_id != self._past.message_id:
                raise BundleError(f"{kept.bundle} answers message {answer.header.message_id}.")
            return self._again(answer, self._reply_in(answer))
        reply, read = Reply.decode(kept.data), kept.objects.__getitem__
        reply, read = self._readdressed(reply, read)
        return Answered(**self._event(), reply=reply, read=read)

    def _again(self, answer: Bundle, original: Reply) -> Answered:
        """Return a reply to the same message, or to one of the same content, as one to this."""
        reply, read = self._readdressed(original, answer.read)
        return replace(self._answered(answer, original), reply=reply, read=read)

    def _readdressed(self, reply: Reply, read: Read) -> tuple[Reply, Read]:
        if reply.metadata.reply_to_message_id == self._instruction.message_id:
            return reply, read
        return readdressed(reply, read, self._instruction, self._clock.time())

    # From the SuperLink to the station

    def _ask_station(self, opened: ExitStack) -> Answered:
        """Have the station answer the message."""
        if self._expiry.passed:
            raise Undelivered("The message had expired when the SuperLink handed it out.")
        held, drain, message_id = self._station.held, self._drain, self._instruction.message_id
        before = self._past.instruction if self._past.message_id == message_id else None
        with self._measured("drain"):
            fab = drain.fetch_app()
            with_app = fab.object_id not in held.objects
            drain.fetch_message(held.generation, with_app, before)
        self._advance(self._drained())
        answer = self._send(opened)
        if answer.header.WhichOneof("content") == "missing_objects":
            # Nothing was started there: the station's cache is a new one.
            log.info("station %s does not hold the app (any more): sending it", self._station.name)
            with self._measured("drain"):
                drain.add_app()
            self._advance(self._drained())
            self._past = replace(self._past, task="")  # it was the one that lacked the app
            answer = self._send(opened)
        if drain.app_size and held.generation:
            held.objects.add(fab.object_id)
        return self._read(answer)

    def _drained(self) -> Drained:
        drain = self._drain
        return Drained(
            **self._event(),
            object_bytes=drain.size,
            fab_bytes=drain.app_size,
            fab_hash=drain.fab_hash,
        )

    def _send(self, opened: ExitStack) -> Bundle:
        """Bring the message to the station; returns its answer."""
        self._advance(Sent(**self._event(), bytes=self._drain.path.stat().st_size))
        return self._carry(opened, self._instruction.message_id)

    def _carry(self, opened: ExitStack, message_id: str) -> Bundle:
        """Exchange bundles with the station; returns its answer."""
        instruction, reply = self._instruction, self._station.folder / "reply.bundle"
        reply.unlink(missing_ok=True)  # what a power cut left may be a name of a journal's reply
        about = instruction.metadata
        task = self._past.task if self._past.message_id == message_id else ""
        at_the_station: dict[str, float] = {}
        with self._measured("carry", at_the_station):
            exchange = Exchange(
                message_id,
                title_of(about.message_type, about.group_id, self._step),
                self._drain.path,
                reply,
                min(self._station_seconds + self._grace, self._expiry.left - self._grace),
                self._stop,
                task,
                self._started,
            )
            self._station.carrier.exchange(self._station.name, exchange)
            answer = opened.enter_context(Bundle(reply))
            at_the_station |= answer.seconds
        self._bytes_back += reply.stat().st_size
        if answer.header.message_id != message_id:
            raise BundleError(f"The station answered message {answer.header.message_id} instead.")
        self._station.held.in_cache(answer.header.cache_generation)
        return answer

    def _started(self, task: str) -> None:
        """Remember what the carrier calls the exchange, unless nobody asks for it any more."""
        with self._advancing:
            if self._stage in (Stage.PULLED, Stage.SENT):
                self._memory.started(self._station.name, task)

    # The answer

    def _read(self, answer: Bundle) -> Answered:
        """Return the reply in a station's answer, if it is one to this message."""
        header = answer.header
        match header.WhichOneof("content"):
            case "failure":
                return self._failure(header.failure.code, header.failure.reason)
            case "reply":
                return self._reply(answer)
            case other:
                raise BundleError(f"The station answered with {other or 'nothing'}.")

    def _reply(self, answer: Bundle) -> Answered:
        """Return the reply in a station's answer, if it can be one to this message."""
        reply = self._whole(answer)
        self._check(answer, reply, partial(answer.read, at_most=ANNOUNCEMENT_BYTES))
        return self._answered(answer, reply)

    def _reply_to(self, message_id: str, answer: Bundle) -> Answered:
        """Return the reply to a message of the same content, if it can be one to this message."""
        original = self._whole(answer)
        if (named := original.metadata.reply_to_message_id) != message_id:
            raise ReplyRefused(
                f"The station's reply names message {named} instead of {message_id}."
            )
        read = partial(answer.read, at_most=ANNOUNCEMENT_BYTES)
        self._check(answer, *self._readdressed(original, read))
        return self._again(answer, original)

    def _check(self, answer: Bundle, reply: Reply, read: Read) -> None:
        check_reply(
            *(reply, self._instruction, partial(_head, answer, read), read),
            *(self._pulled_at, self._clock.time()),
        )

    def _whole(self, answer: Bundle) -> Reply:
        """Return the reply that a station's answer names, with all of its objects."""
        reply = self._reply_in(answer)
        if missing := [i for i in reply.object_ids if i not in answer.object_ids]:
            raise BundleError(f"The station's reply lacks {len(missing)} of its objects.")
        return reply

    def _reply_in(self, answer: Bundle) -> Reply:
        """Return the reply that a station's answer names."""
        announcement_id = answer.header.reply.push_messages_object_id
        if announcement_id not in answer.object_ids:
            raise BundleError("The station's answer lacks the reply that it names.")
        try:
            if self._instruction.layout == Layout.INLINE:
                return Reply.decode(answer.object(announcement_id))
            return Reply.decode(answer.read(announcement_id, ANNOUNCEMENT_BYTES))
        except FleetError as error:
            raise BundleError(error.message) from error

    def _answered(self, answer: Bundle, reply: Reply) -> Answered:
        life = answer.header.reply.supernode_life
        return Answered(
            **self._event(),
            reply=reply,
            read=answer.read,
            bundle=answer.path,
            bytes=self._bytes_back,
            object_bytes=answer.object_bytes,
            metrics=_metrics(reply, answer),
            state_lost=self._station.held.lost_state(life),
            supernode_life=life,
        )

    def _error_answer(self, error: Exception) -> Answered:
        """Make an error reply of an exception; raises it if nobody is owed one."""
        code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
        if code is None:
            raise error
        if self._expiry.passed:
            raise Undelivered(f"The message has expired. Before that: {error}") from error
        reason = error.message if isinstance(error, BridgeError) else str(error)
        if code == ErrorCode.UNKNOWN:
            reason = f"The bridge failed. {type(error).__name__}: {reason}"
        return self._failure(code, reason, error)

    def _failure(self, code: int, reason: str, error: Exception | None = None) -> Answered:
        reply, contents = error_reply(self._instruction, code, reason, self._clock.time())
        return Answered(
            **self._event(),
            reply=reply,
            read=contents.__getitem__,
            bytes=self._bytes_back,
            error=error,
        )

    # From the station to the SuperLink

    def _answer(self, answered: Answered) -> None:
        """Fix the reply and push it; if the SuperLink refuses it, push an error reply instead."""
        self._advance(answered)
        with suppress(FleetError):  # else it comes again, and is known to have its answer
            self._drain.discard()
        self._memory.await_turn(self._station.name, self._stop, self._expiry)
        try:
            self._push(answered)
        except Exception as error:
            if answered.bundle is None or self._was_announced:
                raise
            instead = self._error_answer(error)
            self._advance(Refused(**self._event(), error=error))
            self._advance(instead)
            self._push(instead)
        self._advance(Pushed(**self._event(), confirmed=self.confirmed))

    def _push(self, answered: Answered) -> None:
        layout = self._instruction.layout
        push = Push(
            *(self._station.superlink, answered.reply, answered.read, layout),
            announced=self._was_announced,
            giving=partial(self._memory.giving, self._station.name),
        )
        with self._measured("store"):
            try:
                try:
                    retrying(push, self._stop, self._expiry)
                except Cancelled:
                    push()  # once more: the SuperLink may be back by now
            except Unreachable as error:
                raise Undelivered(f"The reply is lost. {error.message}") from error

    @property
    def _was_announced(self) -> bool:
        """Whether the SuperLink may have the answer already, from an earlier central."""
        past = self._past
        is_same = past.message_id == self._instruction.message_id
        return past.answer is not None and is_same and not past.refused

    # What all of it needs

    def _advance(self, event: Event) -> None:
        """Come to a stage, if no other thread has answered the message."""
        with self._advancing:
            thread = threading.get_ident()
            if event.stage not in NEXT[self._stage] or self._answerer not in (0, thread):
                raise _Superseded
            if event.stage == Stage.ANSWERED:
                self._answerer = thread
            self._stage = event.stage
            if event.stage in (Stage.PUSHED, Stage.DROPPED):
                self._steps.ended(self._step, self._instruction, self._clock.monotonic())
            self._trace(event)

    def _event(self) -> dict[str, Any]:
        """Return the fields that every event has."""
        seconds, self._seconds = self._seconds, {}
        return {
            "station": self._station.name,
            "instruction": self._instruction,
            "step": self._step,
            "at": self._clock.time(),
            "seconds": seconds,
        }

    @contextmanager
    def _measured(self, stage: str, others: Mapping[str, float] = _NOTHING) -> Iterator[None]:
        """Add the seconds that the body takes to a stage, but for those of others within it."""
        start = self._clock.monotonic()
        try:
            yield
        finally:
            seconds = self._seconds  # `fail` may take them, in another thread
            passed, of_others = self._clock.monotonic() - start, sum(others.values())
            if of_others <= passed:  # else the station's clock is of no use
                seconds.update(others)
                passed -= of_others
            seconds[stage] = seconds.get(stage, 0.0) + passed

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Say of the message that it has no reply, if the body raises."""
        try:
            yield
        except Exception as error:
            expired = self._expiry.passed or self._clock.time() >= self._instruction.expires_at
            about = {**self._event(), "confirmed": self.confirmed}
            self._advance(Dropped(**about, error=error, expired=expired))
            raise

    @contextmanager
    def _emptied_folder(self) -> Iterator[None]:
        try:
            yield
        finally:
            for path in self._station.folder.iterdir():
                path.unlink(missing_ok=True)


def _head(answer: Bundle, read: Read, object_id: str) -> tuple[bytes, int]:
    """Return what `Bundle.head` does, of an object, too, that only a readdressed reply has."""
    if object_id in answer.object_ids:
        return answer.head(object_id)
    content = read(object_id)
    return content.partition(b"\0")[0], len(content)


def _metrics(reply: Reply, answer: Bundle) -> Metrics:
    """Return a reply's metrics; none if they cannot be read: the reply is pushed all the same."""
    try:
        if reply.object_ids:
            return metrics_of(reply.object_ids, partial(answer.read, at_most=OBJECT_BYTES))
        return metrics_in(reply.data)
    except Exception:
        log.exception("the metrics of a reply cannot be read")
        return {}
