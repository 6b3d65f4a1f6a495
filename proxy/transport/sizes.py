"""How large a SuperLink's answers may be: whoever reads one takes no more memory than that."""

from collections.abc import Mapping

from proxy.bundle import ANNOUNCEMENT_BYTES, APP_BYTES
from proxy.fleet.inline import MAX_MESSAGE_BYTES

# The answers with a message, an array, or an app in them. All others are a few ids or texts.
LARGEST: Mapping[str, int] = {
    "PullMessages": MAX_MESSAGE_BYTES,
    "PullObject": MAX_MESSAGE_BYTES,
    "GetFab": APP_BYTES,
}
LARGEST_OTHER = ANNOUNCEMENT_BYTES


def largest_answer(method: str) -> int:
    """Return how many bytes the answer to a Fleet method may have."""
    return LARGEST.get(method, LARGEST_OTHER)
