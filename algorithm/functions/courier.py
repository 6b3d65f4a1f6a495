"""Partial function: brings one instruction bundle to the job's host, and its answer back.

It starts for every message, so it imports little and decides nothing: the bundle is opened by the
host. A message that was answered before is answered at once with what is there.
"""

import os
import time
from pathlib import Path

from algorithm.station.job import Job, Message
from proxy.calls import CourierCall
from proxy.errors import CarrierError, HostGone, HostIdle
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload

_POLL_SECONDS = 0.02
_HOST_CHECK_SECONDS = 1.0
# A host that starts together with its first courier needs a moment.
_HOST_START_SECONDS = 60.0


def main(container: Container, task: Payload) -> None:
    """Leave the host's answer in the output file.

    The task is a `CourierCall`.

    Raises
    ------
    CarrierError
        If there is no answer; a `HostIdle` if nothing was begun because the host ended just before.
    """
    call = CourierCall.read(task.fields)
    job = Job(container.job_folder(call.job), settle=False)
    message = job.message(call.message_id)
    try:
        # There may be two of us at the same time: a message that seems lost is brought again, and
        # a central that was killed leaves couriers behind.
        with message.wanted():
            if not message.answered():
                part = message.folder / f"instruction.{os.urandom(16).hex()}.part"
                task.save_bundle(part)
                message.missing.unlink(missing_ok=True)  # said of an earlier bundle
                part.replace(message.instruction)
            answer = _await_answer(job, message, call)
            payload.write_answer(container.output_file, answer, call.max_reply_bytes, task.linked)
    finally:
        message.forget_unwanted(keep_missing=container.platform.loses_results)
    # One line, at the end: for each the server writes the task's row anew, input and all.
    print(f"message {message.message_id:.12} is {message.ending}", flush=True)


def _await_answer(job: Job, message: Message, call: CourierCall) -> Path:
    """Wait for the host's answer; returns where it is."""
    give_up = time.monotonic() + call.timeout
    host_due = time.monotonic() + _HOST_START_SECONDS
    next_check = time.monotonic()
    had_host = False
    while True:
        if message.answered():
            return message.reply
        if message.missing.exists():
            return message.missing
        now = time.monotonic()
        if job.over:
            raise CarrierError("The run has ended: its stations answer no more messages.")
        if now > give_up:
            raise CarrierError(
                f"The station's host did not answer message {message.message_id} in time."
            )
        if now > next_check:
            next_check = now + _HOST_CHECK_SECONDS
            if job.has_host():
                had_host = True
            elif (idle := job.was_idle(call.host)) or had_host or now > host_due:
                # It may have answered with its last breath.
                if message.answered():
                    return message.reply
                if idle and not message.taken:
                    raise HostIdle("The station's host had ended: no message came for long.")
                raise HostGone(
                    "The station's host ended without an answer."
                    if had_host or message.taken
                    else f"The station's host did not start within {_HOST_START_SECONDS:.0f} s."
                )
        time.sleep(_POLL_SECONDS)
