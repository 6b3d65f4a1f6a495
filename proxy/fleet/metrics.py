"""The metrics in a reply, for the report. A ServerApp gets them anyway; here they are only read.

Objects are laid out as in flwr 1.20 to 1.42, `flwr/supercore/inflatable/inflatable_object.py` and
`flwr/app/record/`: a Message has a RecordDict, and that names its records' objects.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from google.protobuf.message import DecodeError

from protos.records_pb2 import MetricRecord, Replies
from proxy.blocks import Data
from proxy.errors import FleetError
from proxy.fleet.inline import without_arrays

Metrics: TypeAlias = dict[str, float | int]
# Record, key and value.
_Found: TypeAlias = tuple[str, str, float | int]


def metrics_of(object_ids: Sequence[str], read: Callable[[str], bytes]) -> Metrics:
    """Return a message's metrics; lists, and what JSON has no number for, are left out.

    Parameters
    ----------
    object_ids : Sequence[str]
        Ids of the message's objects, its own last; none if it came whole.
    read : Callable[[str], bytes]
        Returns an object's content.

    Returns
    -------
    Metrics
        By their keys, with the record's name before it ("record.key") where two records have the
        same. Empty for an error, or a message that is laid out otherwise.
    """
    return _by_key(_metrics(object_ids[-1], read)) if object_ids else {}


def metrics_in(replies: Data) -> Metrics:
    """Return the metrics in a PushMessages request whose messages came whole; see `metrics_of`."""
    try:
        return _by_key(
            found
            for message in Replies.FromString(without_arrays(replies)).messages
            for item in message.content.items
            for found in _finite(item.key, item.metric_record)
        )
    except (DecodeError, FleetError):
        return {}


def _by_key(metrics: Iterable[_Found]) -> Metrics:
    found = list(metrics)
    keys = [key for _, key, _ in found]
    return {
        key if keys.count(key) == 1 else f"{record}.{key}": value for record, key, value in found
    }


def _metrics(message_id: str, read: Callable[[str], bytes]) -> Iterator[_Found]:
    """Yield record, key and value of each metric."""
    try:
        _, children, _ = _parts(read(message_id))
        for child in children:
            kind, _, body = _parts(read(child))
            for record, record_id in (json.loads(body) if kind == "RecordDict" else {}).items():
                kind, _, body = _parts(read(record_id))
                if kind == "MetricRecord":
                    yield from _finite(record, MetricRecord.FromString(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DecodeError):
        return  # laid out otherwise: what was found stands


def _finite(record: str, metrics: MetricRecord) -> Iterator[_Found]:
    for item in metrics.items:
        which = item.value.WhichOneof("value")
        if which and math.isfinite(value := getattr(item.value, which)):
            yield record, item.key, value


def _parts(content: bytes) -> tuple[str, list[str], bytes]:
    """Return an object's type, its children's ids, and its body."""
    head, _, body = content.partition(b"\0")
    kind, children, _ = head.decode().split(" ")
    return kind, [each for each in children.split(",") if each], body
