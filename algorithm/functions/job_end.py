"""Tells a host that its job is over: a central task that ended sends no more messages.

A host that has no central task never gets any: only a central's tasks share a folder with it.
"""

import logging
import threading
import time
from collections.abc import Callable

from algorithm.station.job import Job
from proxy.errors import TooLarge, Vantage6Error
from proxy.vantage6.container import Container

log = logging.getLogger(__name__)

_ASK_SECONDS = 2.0
_LOOK_SECONDS = 0.5


def when_job_ends(container: Container, call: Callable[[], None]) -> None:
    """Call something, in another thread, when no task that created ours runs.

    Where a partial function has no token to ask with, nothing happens.
    """
    if not container.platform.partial_has_token:
        return
    # To import what speaks to servers takes a host longer than all else.
    from proxy.generations import generation_of  # noqa: PLC0415
    from proxy.vantage6.login import ContainerLogin  # noqa: PLC0415

    login = ContainerLogin(container.token)
    server = generation_of(container.platform).server(container.server, login)
    task = int(login.claims["task_id"])

    def ask() -> None:
        run = central = 0
        too_large = False
        while True:
            try:
                if not (run or too_large):
                    with server.understanding():
                        parent = server.get(f"task/{task}")["parent"]
                        central = 0 if parent is None else int(parent["id"])
                    if not central:
                        log.warning("no central task created this host: it ends")
                        break
                    run = server.run_of(central)
                status = server.task_status(central) if too_large else server.run(run).status
                if status.ended:
                    log.info("the job is over")
                    break
            except TooLarge:  # the central's log comes with its run
                too_large = True
                continue
            except Vantage6Error as error:
                log.debug("whether the job is over is not known: %s", error)
            except Exception:
                # The server said what no server should; it may say otherwise later.
                log.exception("whether the job is over is not known: internal error")
            time.sleep(_ASK_SECONDS)
        call()

    threading.Thread(target=ask, name="job end", daemon=True).start()


def when_end_is_noted(container: Container, job: Job, call: Callable[[], None]) -> None:
    """Call something, in another thread, when it is noted at the station that the job is over.

    Where nobody notes that, nothing happens.
    """
    if not container.platform.user.tells_end:
        return

    def look() -> None:
        while not job.over:
            time.sleep(_LOOK_SECONDS)
        call()

    threading.Thread(target=look, name="job end", daemon=True).start()
