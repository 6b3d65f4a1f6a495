"""Partial function: notes at a station that the run has ended.

A host that cannot ask for that ends then, and removes what only the run needed; where there is no
host, that is done here.
"""

from algorithm.station.job import Job
from proxy.calls import EndCall
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload
from proxy.vantage6.v5.extracted import forget_those_for_one_run


def main(container: Container, task: Payload) -> None:
    """Leave whether there is a host that is told of it.

    The task is an `EndCall`.
    """
    job = Job(container.job_folder(EndCall.read(task.fields).job))
    with job.hosting() as alone:
        job.end()
        if alone:
            job.forget_all_but_marks()
            forget_those_for_one_run(container.shared_folder)
    payload.write(container.output_file, {"host": not alone})
