"""What Flower's own parser reads, beside what ours does."""

import importlib
from typing import Any

from google.protobuf.message import DecodeError


def read_by_flower(module: str, kind: str, encoded: bytes) -> Any:
    """Return what Flower reads; None if it refuses.

    Parameters
    ----------
    module : str
        A module of `flwr.proto`.
    kind : str
        The message's type.
    encoded : bytes
        The message.
    """
    try:
        return getattr(importlib.import_module(f"flwr.proto.{module}"), kind).FromString(encoded)
    except DecodeError:
        return None


def same(ours: Any, theirs: Any) -> bool:
    """Whether two messages say the same in all that ours names, apart from what is below."""
    return all(
        getattr(ours, field.name) == getattr(theirs, field.name)
        for field in ours.DESCRIPTOR.fields
        if field.message_type is None
    )
