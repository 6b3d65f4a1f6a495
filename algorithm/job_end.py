"""Tells a host that its job is over: a central task that ended sends no more messages."""

import logging
import threading
import time
from collections.abc import Callable

from proxy.carriers.container import Container
from proxy.errors import Vantage6Error
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import Server

log = logging.getLogger(__name__)

_ASK_SECONDS = 2.0


def when_job_ends(container: Container, call: Callable[[], None]) -> None:
    """Call something, in another thread, when the task that created ours has ended.

    Only vantage6 4.x gives partial functions the token to ask; elsewhere nothing happens.
    """
    if container.token_file is None:
        return
    login = ContainerLogin(container.token_file.read_text().strip())
    server, task = Server(container.server, login), int(login.claims["task_id"])

    def ask() -> None:
        central = 0
        while True:
            try:
                central = central or server.run_of(server.get(f"task/{task}")["parent"]["id"])
                if server.run(central).status.ended:
                    break
            except Vantage6Error as error:
                log.debug("cannot find out whether the job is over: %s", error)
            time.sleep(_ASK_SECONDS)
        log.info("the job is over")
        call()

    threading.Thread(target=ask, name="job end", daemon=True).start()
