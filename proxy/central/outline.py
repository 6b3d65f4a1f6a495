"""A message's instruction bundle without what the message says.

Messages that say the same have all else for themselves: ids, times, addresses. So an outline and
another message of the same content make the first one's instruction bundle again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from protos.bundle_pb2 import Header
from proxy.blocks import Data, sha256_of
from proxy.bundle import Bundle, BundleWriter
from proxy.errors import BundleError
from proxy.fleet.contents import with_content_of
from proxy.fleet.inline import without_content
from proxy.fleet.messages import Instruction


@dataclass(frozen=True)
class Outline:
    """What a message has for itself.

    Attributes
    ----------
    header : Header
        That of its instruction bundle.
    announcement : Data
        The SuperLink's answer to PullMessages; without its content if the message came whole.
    root : Data | None
        The object that the message itself is, unless it came whole.
    """

    header: Header
    announcement: Data
    root: Data | None

    @classmethod
    def of(cls, header: Header, instruction: Instruction, root: Data | None) -> "Outline":
        """Return a message's outline; raises `FleetError` if the message cannot be read."""
        whole = header.instruction.whole
        return cls(header, without_content(instruction.data) if whole else instruction.data, root)

    @classmethod
    def read(cls, bundle: Bundle) -> "Outline":
        """Return an outline from its file, which has to stay open as long as it is used.

        Raises
        ------
        BundleError
            If the bundle is no outline.
        """
        header, ids = bundle.header, bundle.object_ids
        if header.instruction.pull_messages_object_id not in ids:
            raise BundleError(f"{bundle.path} lacks the message that it is of.")
        announcement = bundle.read(header.instruction.pull_messages_object_id)
        root = bundle.object(header.message_id) if header.message_id in ids else None
        return cls(header, announcement, root)

    def filled(self, instruction: Instruction) -> "Outline":
        """Return it with the content of a message that came whole, and says the same."""
        if not self.header.instruction.whole:
            return self
        announcement = with_content_of(instruction, self.announcement)
        return Outline(self.header, announcement, self.root)

    @contextmanager
    def begun(self, path: Path) -> Iterator[BundleWriter]:
        """Begin a bundle with it, for others to complete; raises `BundleError` as they do."""
        header = Header()
        header.CopyFrom(self.header)
        header.instruction.pull_messages_object_id = announced = sha256_of(self.announcement)
        with BundleWriter(path, header) as writer:
            writer.add(announced, self.announcement)
            if self.root is not None:
                writer.add(header.message_id, self.root)
            yield writer
