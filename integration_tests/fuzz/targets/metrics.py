"""Metrics in a reply, whatever its records are."""

import json
from collections.abc import Iterator

from integration_tests.fuzz.harness import joined, pieces
from integration_tests.fuzz.samples import PUSHED
from protos.records_pb2 import MetricRecord, Replies
from proxy import strict_json
from proxy.errors import BundleError
from proxy.fleet.messages import object_id
from proxy.fleet.metrics import OBJECT_BYTES, Metrics, metrics_in, metrics_of

ERRORS = ()


def parse(data: bytes) -> None:
    """Read an input as a reply that came whole, and as some objects of one."""
    _check(metrics_in(data))
    objects = dict(zip(("message", "content", "record", "other"), pieces(data, 4), strict=True))

    def read(name: str) -> bytes:
        if len(objects[name]) > OBJECT_BYTES:
            raise BundleError("too large")
        return objects[name]

    _check(metrics_of(["message"], read))


def _check(metrics: Metrics) -> None:
    assert len(metrics) <= 1000
    assert json.loads(strict_json.dumps(metrics)) == metrics


def seeds() -> Iterator[bytes]:
    """Make replies."""
    record = MetricRecord()
    record.items.add(key="loss").value.double = 0.5
    record.items.add(key="n").value.sint64 = -3
    record.items.add(key="nan").value.double = float("nan")
    body = record.SerializeToString()
    yield joined(
        b"Message content 0\0",
        b'RecordDict record,other 0\0{"m": "record", "n": "other", "o": "record"}',
        b"MetricRecord  0\0" + body,
        b"ArrayRecord  0\0{}",
    )
    replies = Replies()
    item = replies.messages.add().content.items.add(key="metrics")
    item.metric_record.CopyFrom(record)
    yield replies.SerializeToString()
    yield PUSHED
    assert object_id(body)


def bombs() -> Iterator[bytes]:
    """Many keys, many equal keys, one record many times, records of nothing, nested text."""
    for distinct in (True, False):
        many = MetricRecord()
        for number in range(40_000):
            many.items.add(key=str(number * distinct)).value.double = 1.0
        replies = Replies()
        item = replies.messages.add().content.items.add(key="m")
        item.metric_record.CopyFrom(many)
        yield replies.SerializeToString()
    names = {str(number): "record" for number in range(2000)}
    yield joined(
        b"Message content 0\0",
        b"RecordDict  0\0" + json.dumps(names).encode(),
        b"MetricRecord  0\0" + b"\x0a\x00" * 30_000,
        b"",
    )
    yield joined(b"Message content 0\0", b"RecordDict  0\0" + b"[" * 60_000, b"", b"")
    yield b"\x12\x80\x89\x7a\x12\xfc\x88\x7a" + b"\x0a\x00" * 1_000_000
