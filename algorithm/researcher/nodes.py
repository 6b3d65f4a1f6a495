"""Which nodes of a task's collaboration are online, asked for at most every few seconds."""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from proxy.errors import Vantage6Error
from proxy.text import one_line
from proxy.vantage6.server import Server

log = logging.getLogger(__name__)

_ASKED_EVERY_SECONDS = 10.0


class Nodes:
    """The nodes of a task's collaboration, by their organizations' names as entries have them.

    Parameters
    ----------
    server : Server
        As a user sees it.
    task : Mapping[str, Any]
        What the server says of the task.

    Raises
    ------
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """

    def __init__(self, server: Server, task: Mapping[str, Any]) -> None:
        self._server = server
        with server.understanding():
            self._collaboration = int(task["collaboration"]["id"])
        self._ids = {
            one_line(organization.name): organization.id
            for organization in server.organizations(self._collaboration)
        }
        self._online: Mapping[int, bool] = {}
        self._asking = threading.Lock()
        self._asked_at = float("-inf")

    def online(self, organization: str) -> bool:
        """Whether an organization's node is online, as the server said a few seconds ago."""
        with self._asking:
            if time.monotonic() - self._asked_at > _ASKED_EVERY_SECONDS:
                try:
                    self._online = self._server.nodes(self._collaboration)
                except Vantage6Error as error:
                    log.debug("cannot find out which nodes are online: %s", error)
                self._asked_at = time.monotonic()
            return self._online.get(self._ids.get(organization, 0), False)
