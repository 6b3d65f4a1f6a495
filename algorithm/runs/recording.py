"""Recording what the bridge itself says to a SuperLink."""

from contextlib import ExitStack
from pathlib import Path

from algorithm.runs.on_superlink import Join, Joined
from proxy.central.report import Observer
from proxy.tapes.record import Recorder


def on_tape(join: Join, tape: Path | None, about: str) -> Join:
    """Have all that SuperNodes and their SuperLink say to each other recorded.

    Parameters
    ----------
    join : Join
        Makes the SuperNodes. The SuperLink must not have TLS.
    tape : Path | None
        The file to write, when the SuperNodes join; None if nothing is to be recorded.
    about : str
        What is recorded, in words.
    """
    if tape is None:
        return join

    def joined(superlink: str, folder: Path, observer: Observer) -> Joined:
        with ExitStack() as stack:
            recorder = Recorder(superlink, "127.0.0.1:0", tape, about, for_us_only=True)
            stack.callback(recorder.close)
            stack.callback(join(recorder.address, folder, observer).close)
            return stack.pop_all()

    return joined
