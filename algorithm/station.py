"""What a data station does with an instruction: check it, have it answered, leave the answer.

At most once to train: before the ClientApp gets a message, that is noted in the job's folder.
A message that is found taken but not answered is refused.
"""

import logging
from collections.abc import Callable

from algorithm.job import Job, Message
from algorithm.policy import Policy, Refused
from algorithm.runtime import NoReply, Runtime
from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle, BundleWriter
from proxy.client import Delivery
from proxy.errors import BundleError, Incompatible
from proxy.fleet.messages import ErrorCode, parse
from proxy.text import one_line

log = logging.getLogger(__name__)


def answer(job: Job, message: Message, runtime: Callable[[int], Runtime], policy: Policy) -> bool:
    """Answer a message; afterwards its reply, or what is missing for one, is in its folder.

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
    """
    if message.reply.exists():
        return True
    log.info("message %.12s arrived", message.message_id)
    try:
        with Bundle(message.instruction) as bundle:
            if bundle.header.message_id != message.message_id:
                raise BundleError(
                    f"The task announced message {message.message_id}, but its bundle has"
                    f" {bundle.header.message_id}."
                )
            if message.taken:
                raise BundleError(
                    "A ClientApp had this message before, and its reply is lost or was delivered."
                    " The station does not train twice."
                )
            # Not before: a late repetition of an older message must not take the latest reply away.
            job.forget_answered_but(message)
            fab = _fab(job, bundle)
            if fab is None:
                _write_missing(job, message, bundle)
                return True
            delivery = Delivery(bundle, fab, message.reply, job.generation(), message.take)
            instruction = bundle.header.instruction
            policy.check(
                parse(fleet.GetRunResponse, instruction.get_run_response).run,
                parse(fleet.GetFabResponse, fab).fab.content,
            )
            runtime(instruction.node_id).serve(delivery, instruction.deadline_seconds)
    except (BundleError, Incompatible, Refused) as error:
        _write_failure(job, message, ErrorCode.MESSAGE_UNAVAILABLE, str(error))
        return True
    except NoReply as error:
        _write_failure(job, message, error.error_code, error.message)
        return False
    log.info("message %.12s is answered", message.message_id)
    return True


def _fab(job: Job, bundle: Bundle) -> bytes | None:
    """Return the SuperLink's answer to GetFab, from the bundle or from the cache."""
    fab_id = bundle.header.instruction.fab_object_id
    if fab_id not in bundle.object_ids:
        return job.kept(fab_id)
    fab = bundle.read(fab_id)
    job.generation()
    job.keep(fab_id, fab)
    return fab


def _write_missing(job: Job, message: Message, bundle: Bundle) -> None:
    log.info(
        "message %.12s came without the app (FAB), which is not in the cache", message.message_id
    )
    header = bundle_pb2.Header(
        message_id=message.message_id,
        cache_generation=job.generation(),
        missing_objects=bundle_pb2.MissingObjects(
            object_ids=[bundle.header.instruction.fab_object_id]
        ),
    )
    message.instruction.unlink(missing_ok=True)
    BundleWriter(message.missing, header).close()


def _write_failure(job: Job, message: Message, code: int, reason: str) -> None:
    # It may quote what the central says: in the log it is one line, whatever it quotes.
    log.warning("message %.12s failed: %s", message.message_id, one_line(reason))
    header = bundle_pb2.Header(
        message_id=message.message_id,
        cache_generation=job.generation(),
        failure=bundle_pb2.Failure(code=code, reason=reason),
    )
    BundleWriter(message.reply, header).close()
