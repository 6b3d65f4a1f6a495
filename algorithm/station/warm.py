"""The runtime that a station keeps from message to message."""

import logging
from collections.abc import Callable

from algorithm.station.runtime import Runtime

log = logging.getLogger(__name__)


class Warm:
    """The runtime that is kept, made anew when it has to be.

    Parameters
    ----------
    start : Callable[[int], Runtime]
        Starts one under a node id.
    """

    def __init__(self, start: Callable[[int], Runtime]) -> None:
        self._start = start
        self._runtime: Runtime | None = None

    def get(self, node_id: int) -> Runtime:
        """Return the runtime, started if it is not there, or there under another node id."""
        current = self._runtime
        if current is not None and not (current.running and current.node_id == node_id):
            self.stop()
        if self._runtime is None:
            self._runtime = self._start(node_id)
        return self._runtime

    def prepare(self, node_id: int) -> None:
        """Start the runtime early. If that fails, the next message tries again, and is told why."""
        try:
            self.get(node_id)
        except Exception as error:
            log.warning(
                "the SuperNode or ClientApp cannot be started (%s); the next message tries again",
                type(error).__name__,
            )

    def replace(self) -> None:
        """Start a new one in place of one that failed."""
        if self._runtime is not None:
            node_id = self._runtime.node_id
            self.stop()
            self.prepare(node_id)

    def stop(self) -> None:
        """End it."""
        ending, self._runtime = self._runtime, None
        try:
            if ending is not None:
                ending.stop()
        except Exception as error:
            log.error(
                "the SuperNode or ClientApp process could not be ended, and may still run (%s)",
                type(error).__name__,
            )
