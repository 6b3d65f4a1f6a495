"""Partial function: fetches an answer that the station has, where its own function's was lost.

A message is never trained for it: nothing is started.
"""

from algorithm.station.job import Job
from proxy.calls import AskCall
from proxy.carriers.answers import UNDER_WAY, UNHEARD
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload


def main(container: Container, task: Payload) -> None:
    """Leave the answer in the output file, or what there is to say of the message.

    The task is an `AskCall`.
    """
    call = AskCall.read(task.fields)
    job = Job(container.job_folder(call.job))
    message = job.message(call.message_id)
    # In this order: it may be answered while we look.
    under_way = job.at_work_on(message)
    if message.answered():
        payload.write_answer(container.output_file, message.reply, call.max_reply_bytes)
    elif message.missing.exists():
        payload.write_answer(container.output_file, message.missing, call.max_reply_bytes)
    else:
        payload.write(container.output_file, UNDER_WAY if under_way else UNHEARD)
