"""The folder in which ClientApps keep their Contexts, in direct mode.

    <run id>                the current Context of a run's ClientApp
    <run id>.<message id>   the one after a message, while that has no complete reply

A Context counts together with its message's reply, or not at all. A message whose reply is lost is
not trained twice, but the central may bring the same content in another one: that has to find the
Context that the lost one found.
"""

import re
from collections.abc import Callable
from pathlib import Path

from proxy.system import durable

# Its message's id, and whether it was being written.
_COMING = re.compile(r"-?[0-9]+\.([^.]+)(\.part)?")


class Contexts:
    """The folder.

    Parameters
    ----------
    folder : Path
        Without it there are no Contexts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current(self, run_id: int) -> Path:
        """Return the place of a run's Context."""
        return self.folder / str(run_id)

    def coming(self, run_id: int, message_id: str) -> Path:
        """Return the place of the Context after a message; nothing is there if it is unchanged."""
        return self.folder / f"{run_id}.{message_id}"

    def accept(self, coming: Path, reply: Path) -> None:
        """Make a Context the current one.

        Parameters
        ----------
        coming : Path
            The Context, if it changed.
        reply : Path
            The complete reply bundle of its message. It is on the disk before the Context counts.
        """
        if coming.exists():
            durable.sync(reply)
            durable.sync(reply.parent)
            coming.replace(coming.with_suffix(""))
            durable.sync(self.folder)

    def settle(self, reply_to: Callable[[str], Path | None]) -> None:
        """Accept each Context whose message has its reply, and remove the others.

        Parameters
        ----------
        reply_to : Callable[[str], Path | None]
            Returns the complete reply bundle of the message with an id, if there is one.
        """
        if not self.folder.is_dir():
            return
        for coming in list(self.folder.iterdir()):
            name = _COMING.fullmatch(coming.name)
            if name is None:
                continue
            reply = None if name[2] else reply_to(name[1])
            if reply is None:
                coming.unlink(missing_ok=True)
            else:
                self.accept(coming, reply)
        # Also if there is none: whoever accepted one may have been killed before it came to this.
        durable.sync(self.folder)
