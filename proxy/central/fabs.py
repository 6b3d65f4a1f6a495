"""The apps of the runs, fetched from the SuperLink once for all stations."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from proxy.fleet.messages import object_id

# Enough for the runs that go on at once; the app of an older one is fetched again.
_MAX_FABS = 8


@dataclass(frozen=True)
class Fab:
    """A SuperLink's whole answer to GetFab, as an object that a station may keep."""

    object_id: str
    response: bytes


class Fabs:
    """Keeps the apps of the latest runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fabs: dict[tuple[int, str], Fab] = {}

    def of(self, run_id: int, fab_hash: str, fetch: Callable[[], bytes]) -> Fab:
        """Return a run's app."""
        with self._lock:
            if (run_id, fab_hash) not in self._fabs:
                response = fetch()
                self._fabs[run_id, fab_hash] = Fab(object_id(response), response)
                if len(self._fabs) > _MAX_FABS:
                    del self._fabs[next(iter(self._fabs))]
            return self._fabs[run_id, fab_hash]
