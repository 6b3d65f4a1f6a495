"""Oversize: messages of more than 2 GiB. They take little memory: one array has many names."""

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

_ARRAY_BYTES, _NAMES = 20_000_000, 108


def too_much() -> RecordDict:
    """Return what is too large for one message."""
    array = Array(np.zeros(_ARRAY_BYTES, dtype=np.uint8))
    return RecordDict({"arrays": ArrayRecord({str(number): array for number in range(_NAMES)})})
