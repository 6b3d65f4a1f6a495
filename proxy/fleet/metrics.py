"""The metrics in a reply, for the report. A ServerApp gets them anyway; here they are only read.

Objects are laid out as in flwr 1.20 to 1.42, `flwr/supercore/inflatable/inflatable_object.py` and
`flwr/app/record/`: a Message has a RecordDict, and that names its records' objects.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from google.protobuf.message import DecodeError

from protos.records_pb2 import MetricRecord

Metrics: TypeAlias = dict[str, float | int]


def metrics_of(object_ids: Sequence[str], read: Callable[[str], bytes]) -> Metrics:
    """Return a message's metrics; lists, and what JSON has no number for, are left out.

    Parameters
    ----------
    object_ids : Sequence[str]
        Ids of the message's objects, its own last; empty until 1.18, where it has none.
    read : Callable[[str], bytes]
        Returns an object's content.

    Returns
    -------
    Metrics
        By their keys, with the record's name before it ("record.key") where two records have the
        same. Empty for an error, or a message that is laid out otherwise.
    """
    found = list(_metrics(object_ids[-1], read)) if object_ids else []
    keys = [key for _, key, _ in found]
    return {
        key if keys.count(key) == 1 else f"{record}.{key}": value for record, key, value in found
    }


def _metrics(
    message_id: str, read: Callable[[str], bytes]
) -> Iterator[tuple[str, str, float | int]]:
    """Yield record, key and value of each metric."""
    try:
        _, children, _ = _parts(read(message_id))
        for child in children:
            kind, _, body = _parts(read(child))
            for record, record_id in (json.loads(body) if kind == "RecordDict" else {}).items():
                kind, _, body = _parts(read(record_id))
                for item in MetricRecord.FromString(body).items if kind == "MetricRecord" else ():
                    which = item.value.WhichOneof("value")
                    if which and math.isfinite(value := getattr(item.value, which)):
                        yield record, item.key, value
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DecodeError):
        return  # laid out otherwise: what was found stands


def _parts(content: bytes) -> tuple[str, list[str], bytes]:
    """Return an object's type, its children's ids, and its body."""
    head, _, body = content.partition(b"\0")
    kind, children, _ = head.decode().split(" ")
    return kind, [each for each in children.split(",") if each], body
