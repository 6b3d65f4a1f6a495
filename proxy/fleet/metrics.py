"""The metrics in a reply, for the report. A ServerApp gets them anyway; here they are only read.

Objects are laid out as in flwr 1.20 to 1.42, `flwr/supercore/inflatable/inflatable_object.py` and
`flwr/app/record/`: a Message has a RecordDict, and that names its records' objects.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeAlias

from google.protobuf.message import DecodeError

from protos.records_pb2 import MetricRecord
from proxy import strict_json
from proxy.blocks import Data
from proxy.errors import BundleError, FleetError
from proxy.fleet.inline import without_arrays
from proxy.fleet.wire import texts, views

Metrics: TypeAlias = dict[str, float | int]
# Record, key and value.
_Metric: TypeAlias = tuple[str, str, float | int]

# A larger object is not read: it is an ArrayRecord, with names for thousands of arrays.
OBJECT_BYTES = 256 << 10
# Of all records together.
_MOST_BYTES = 2 << 20
# More is no report. A reply that has more is carried all the same.
_MOST_METRICS = 1000
_MOST_RECORDS = 1000
_MOST_KEY_LENGTH = 200
# Numbers of fields: flwr 1.15 to 1.42, `flwr/proto/{fleet,message,recorddict}.proto`.
_MESSAGES, _CONTENT, _ITEMS = 2, 2, 1
_KEY, _METRIC_RECORD = 1, 3


def metrics_of(object_ids: Sequence[str], read: Callable[[str], bytes]) -> Metrics:
    """Return a message's metrics; lists, and numbers that JSON lacks, are left out.

    At most 1,000 are read; their keys have at most 200 characters, the record's name included.

    Parameters
    ----------
    object_ids : Sequence[str]
        Ids of the message's objects, its own last; none if it came whole.
    read : Callable[[str], bytes]
        Returns an object's content; `BundleError` if it has more than `OBJECT_BYTES`.

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
        return _by_key(_inline_metrics(without_arrays(replies)))
    except FleetError:
        return {}


def _by_key(metrics: Iterable[_Metric]) -> Metrics:
    first = list(islice(metrics, _MOST_METRICS))
    times = Counter(key for _, key, _ in first)
    return {key if times[key] == 1 else f"{record}.{key}": value for record, key, value in first}


def _metrics(message_id: str, read: Callable[[str], bytes]) -> Iterator[_Metric]:
    """Yield record, key and value of each metric."""
    bytes_left = _MOST_BYTES
    try:
        _, children, _ = _parts(read(message_id))
        kind, _, body = _parts(read(children[0])) if children else ("", [], b"")
        records = strict_json.loads(body) if kind == "RecordDict" else {}
        for name, record_id in islice(records.items(), _MOST_RECORDS):
            if bytes_left <= 0:
                return
            with suppress(BundleError):  # it is too large for a record of metrics
                content = read(record_id)
                bytes_left -= len(content)
                kind, _, body = _parts(content)
                if kind == "MetricRecord" and bytes_left > 0:
                    yield from _finite(name, body)
    except (ValueError, KeyError, TypeError, AttributeError, BundleError, DecodeError):
        return  # laid out otherwise: the metrics so far stand


def _inline_metrics(replies: bytes) -> Iterator[_Metric]:
    # Only a few fields are looked at: the arrays beside the metrics may be gigabytes, which stay
    # where they are, and what has a million records of nothing is not read to its end.
    bytes_left = _MOST_BYTES
    try:
        for message in _few(views(replies, _MESSAGES)):
            for content in _few(views(message, _CONTENT)):
                for item in _few(views(content, _ITEMS)):
                    for record in _few(views(item, _METRIC_RECORD)):
                        bytes_left -= len(record)
                        if len(record) <= OBJECT_BYTES and bytes_left > 0:
                            yield from _finite("".join(texts(item, _KEY)), bytes(record))
    except DecodeError:
        return


def _few(views: Iterator[memoryview]) -> Iterator[memoryview]:
    return islice(views, _MOST_RECORDS)


def _finite(record: str, encoded: bytes) -> Iterator[_Metric]:
    for item in MetricRecord.FromString(encoded).items:
        which = item.value.WhichOneof("value")
        if (
            which
            and math.isfinite(value := getattr(item.value, which))
            and len(record) + len(item.key) < _MOST_KEY_LENGTH
        ):
            yield record, item.key, value


def _parts(content: bytes) -> tuple[str, list[str], bytes]:
    """Return an object's type, its children's ids, and its body."""
    head, _, body = content.partition(b"\0")
    kind, children, _ = head.decode().split(" ")
    return kind, [child for child in children.split(",") if child], body
