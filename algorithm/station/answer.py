"""What a data station does with an instruction: check it, have it answered, let the answer go.

At most once to train: before the ClientApp gets a message, that is noted in the job's folder.
A message that is found taken but not answered is refused.

Exactly one answer: whatever goes wrong on the way is the answer, a failure with its reason.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from traceback import format_tb

from algorithm.station.contexts import Contexts
from algorithm.station.job import Job, Message
from algorithm.station.policy import Policy, Refused
from algorithm.station.runtime import NoReply, Runtime
from protos import bundle_pb2
from proxy.bundle import APP_BYTES, Bundle, BundleWriter
from proxy.client import Delivery
from proxy.errors import BridgeError, BundleError, FleetError
from proxy.fleet.messages import ErrorCode
from proxy.system import durable
from proxy.text import one_line

log = logging.getLogger(__name__)

# Of a traceback, from the place of the error up.
_FRAMES = -20


@dataclass(frozen=True)
class _Failure:
    """Why there is no reply.

    Attributes
    ----------
    code : int
        One of Flower's error codes.
    reason : str
        For the ServerApp to read.
    reusable : bool
        Whether the runtime can be used for the next message.
    """

    code: int
    reason: str
    reusable: bool


class Unanswered(BridgeError):
    """Nothing can be written, as on a full disk: neither an answer nor a failure in its place."""

    code = "unanswered"


# The first row that fits counts.
_FAILURES: tuple[tuple[type[Exception], ErrorCode, str, bool], ...] = (
    # The exception, its code, the beginning of the reason, and whether the runtime is reusable.
    (Refused, ErrorCode.MESSAGE_UNAVAILABLE, "", True),
    (BundleError, ErrorCode.MESSAGE_UNAVAILABLE, "", True),
    (FleetError, ErrorCode.MESSAGE_UNAVAILABLE, "", True),
    (BridgeError, ErrorCode.NODE_UNAVAILABLE, "", False),
    (OSError, ErrorCode.NODE_UNAVAILABLE, "The station's system failed: ", False),
    (Exception, ErrorCode.NODE_UNAVAILABLE, "Internal error at the station: ", False),
)


def answer(job: Job, message: Message, runtime: Callable[[int], Runtime], policy: Policy) -> bool:
    """Answer a message; afterwards its reply, or what is missing for one, is in its folder.

    If not even a failure can be written, there is neither, and the instruction is gone.

    Parameters
    ----------
    job : Job
        The job's folder at this station.
    message : Message
        Has an instruction.
    runtime : Callable[[int], Runtime]
        Returns what answers messages under the given node id, and runs.
    policy : Policy
        Says what may run here.

    Returns
    -------
    bool
        Whether the runtime, if there is one, can be used for the next message.

    Raises
    ------
    Unanswered
        If not even a failure can be written; `fail` may be tried again.
    """
    try:
        if message.answered():
            return True
        log.info("message %.12s arrived", message.message_id)
        if not _is_complete(message):
            missing = _have_answered(job, message, runtime, policy)
            if missing:
                _write_missing(job, message, missing)
                return True
        _release(message)
        log.log(
            logging.WARNING if message.is_error else logging.INFO,
            *("message %.12s is %s", message.message_id, message.ending),
        )
        return True
    except Exception as error:
        failure = _failure_of(error)
        log.warning("message %.12s failed: %s", message.message_id, failure.reason)
        if not isinstance(error, BridgeError | OSError):
            # Without the exception's text, which may hold anything.
            log.error("it failed here:\n%s", "".join(format_tb(error.__traceback__, _FRAMES)))
    # Not above: an exception holds what its frames do, such as a reply that lies on a full disk.
    _answer_with(job, message, failure)
    return failure.reusable


def fail(job: Job, message: Message, reason: str) -> None:
    """Answer with a failure, or with the reply if that is complete; raises `Unanswered`."""
    if not message.answered():
        failure = _Failure(ErrorCode.NODE_UNAVAILABLE, one_line(reason), reusable=False)
        _answer_with(job, message, failure)


def _have_answered(
    job: Job, message: Message, runtime: Callable[[int], Runtime], policy: Policy
) -> list[str]:
    """Have the runtime write the reply to a message; returns the objects that are missing."""
    with Bundle(message.instruction) as bundle:
        if bundle.header.message_id != message.message_id:
            raise BundleError(
                f"The task announced message {message.message_id}, but its bundle has"
                f" {bundle.header.message_id}."
            )
        if message.taken:
            raise BundleError(
                "The message was with a ClientApp before, and its reply is lost or was"
                " delivered. The station does not train twice."
            )
        # Not later: it looks at the replies of older messages.
        Contexts(job.contexts).settle(lambda message_id: _reply_to(job.place(message_id)))
        # Not before: a late repetition of an older message must not take the latest reply away.
        job.forget_answered_but(message)
        instruction = bundle.header.instruction
        # What a central may leave out. A message's own objects always come with it.
        shared = [instruction.fab_object_id]
        if missing := job.objects.missing(i for i in shared if i not in bundle.object_ids):
            return missing
        fab = _read(job, bundle, instruction.fab_object_id)
        delivery = Delivery(bundle, fab, message.complete, job.objects.generation(), message.take)
        policy.check(delivery.run, delivery.app.content)
        answering = runtime(instruction.node_id)
        # Not before: a refused app is not kept.
        _keep(job, bundle, shared)
        answering.serve(delivery, instruction.deadline_seconds)
        # Not its text, which may tell of the data: vantage6 shows our log to others.
        if delivery.reply is not None and delivery.reply.error is not None:
            message.note_error()
    return []


def _read(job: Job, bundle: Bundle, object_id: str) -> bytes:
    """Return an object from the bundle, or else from the station's cache."""
    if object_id in bundle.object_ids:
        return bundle.read(object_id, APP_BYTES)
    content = job.objects.get(object_id)
    if content is None:
        raise BundleError(f"Object {object_id} was removed from the station's cache just now.")
    return content


def _keep(job: Job, bundle: Bundle, object_ids: list[str]) -> None:
    """Keep objects that came, for later messages. Without them they come again."""
    for object_id in object_ids:
        try:
            if object_id in bundle.object_ids:
                job.objects.keep(object_id, bundle.read(object_id, APP_BYTES))
        except (BundleError, OSError) as error:
            log.warning("the app will have to be sent again: %s", one_line(str(error)))


def _is_complete(message: Message) -> bool:
    """Whether there is a reply that was not let go before this process began."""
    if not message.complete.exists():
        return False
    try:
        with Bundle(message.complete) as bundle:
            return bundle.header.message_id == message.message_id
    except BundleError as error:
        log.warning("message %.12s: %s", message.message_id, one_line(error.message))
        message.complete.unlink(missing_ok=True)
        return False


def _reply_to(message: Message) -> Path | None:
    """Return the place of the ClientApp's complete reply, also of one that was let go."""
    place = message.reply if message.answered() else message.complete
    try:
        with Bundle(place) as bundle:
            is_reply = bundle.header.WhichOneof("content") == "reply"
            return place if is_reply and bundle.header.message_id == message.message_id else None
    except BundleError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(
            error.__cause__, FileNotFoundError
        ):
            raise  # nobody knows whether it is there
        return None  # it is not, or torn


def _release(message: Message) -> None:
    """Let an answer go, a reply or a failure: from here on a courier may take it.

    The one place where a reply can be judged before it leaves. None is so far.
    """
    durable.publish(message.complete, message.reply)


def _write_missing(job: Job, message: Message, object_ids: list[str]) -> None:
    log.info("message %.12s lacks the app, which is not in the cache", message.message_id)
    header = bundle_pb2.Header(
        message_id=message.message_id,
        cache_generation=job.objects.generation(),
        missing_objects=bundle_pb2.MissingObjects(object_ids=object_ids),
    )
    message.instruction.unlink(missing_ok=True)
    # Not to survive a power cut: the central would ask again.
    BundleWriter(message.missing, header).close()


def _failure_of(error: Exception) -> _Failure:
    """Return the failure that the central gets for an exception."""
    if isinstance(error, NoReply):
        return _Failure(error.error_code, one_line(error.message), reusable=False)
    code, prefix, reusable = next(row[1:] for row in _FAILURES if isinstance(error, row[0]))
    try:
        text = str(error)
    except Exception:  # it may be anybody's exception
        text = ""
    if not isinstance(error, BridgeError | OSError):
        text = f"{type(error).__name__}: {text}"
    return _Failure(code, one_line(prefix + text), reusable)


def _answer_with(job: Job, message: Message, failure: _Failure) -> None:
    """Let a failure go as the answer; or the reply, if that is complete nevertheless.

    On a full disk it has the room of the instruction.
    """
    for make_room in (False, True):
        try:
            if make_room:
                message.forget_instruction()
            if not _is_complete(message):
                _write_failure(job, message, failure)
            _release(message)
        except Exception as error:
            log.error("message %.12s: %s", message.message_id, _failure_of(error).reason)
        else:
            return
    raise Unanswered(f"Message {message.message_id:.12} cannot be answered: {failure.reason}")


def _write_failure(job: Job, message: Message, failure: _Failure) -> None:
    header = bundle_pb2.Header(
        message_id=message.message_id,
        cache_generation=job.objects.generation(),
        failure=bundle_pb2.Failure(code=failure.code, reason=failure.reason),
    )
    with BundleWriter(message.complete, header) as writer:
        writer.close()
    message.note_error()
