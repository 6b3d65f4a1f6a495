"""Recording what the bridge itself says to a SuperLink."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.tapes.record import Recorder


@dataclass(frozen=True)
class Recording:
    """A recording of all that SuperNodes and their SuperLink say to each other.

    Attributes
    ----------
    path : Path | None
        The file; None if nothing is to be recorded.
    about : str
        What is recorded, in words.
    """

    path: Path | None = None
    about: str = ""

    @contextmanager
    def between(self, superlink: str) -> Iterator[str]:
        """Record; yields the address at which SuperNodes reach the SuperLink meanwhile.

        Parameters
        ----------
        superlink : str
            The address (HOST:PORT) of its Fleet API, which must not have TLS.
        """
        if self.path is None:
            yield superlink
            return
        with closing(
            Recorder(superlink, "127.0.0.1:0", self.path, self.about, for_us_only=True)
        ) as recorder:
            yield recorder.address


NO_RECORDING = Recording()
