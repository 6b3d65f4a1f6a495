"""The metrics that a report finds in a reply: all that are numbers, and never a reason to fail."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import fleet_pb2 as fleet
from protos.records_pb2 import MetricRecord, Replies
from proxy.errors import BundleError
from proxy.fleet.metrics import OBJECT_BYTES, Metrics, metrics_in, metrics_of
from proxy.transport.testing import Content, Objects, make_message, make_object, record_dict

SENT = fleet.Metadata(run_id=1)


def metric_record(**values: Any) -> Objects:
    """Make a MetricRecord; lists are bytes as Flower encodes them."""
    record = MetricRecord()
    for key, value in values.items():
        item = record.items.add(key=key)
        if isinstance(value, bytes):
            item.value.MergeFromString(value)
        elif isinstance(value, float):
            item.value.double = value
        else:
            item.value.sint64 = value
    return make_object("MetricRecord", record.SerializeToString())


def records(**named: Objects) -> Objects:
    """Make what a message says."""
    ids = {name: each.tree.object_id for name, each in named.items()}
    return make_object("RecordDict", json.dumps(ids).encode(), *named.values())


def read(content: Content) -> Metrics:
    """Return the metrics of a message that says this."""
    _, objects = make_message(SENT, content)
    return metrics_of(list(objects.contents), objects.contents.__getitem__)


def test_a_message_has_the_metrics_of_its_metric_records() -> None:
    said = records(metrics=metric_record(loss=0.25, accuracy=1.0, patients=-7))
    assert read(said) == {"loss": 0.25, "accuracy": 1.0, "patients": -7}


def test_whole_numbers_stay_whole() -> None:
    assert isinstance(read(records(metrics=metric_record(patients=30)))["patients"], int)


def test_a_zero_is_a_metric_too() -> None:
    assert read(records(metrics=metric_record(loss=0.0, patients=0))) == {"loss": 0, "patients": 0}


def test_other_records_are_not_read() -> None:
    arrays = record_dict(weights=b"weights")
    array = Objects(arrays.tree.children[0], arrays.contents)
    config = make_object("ConfigRecord", b"")
    assert read(records(arrays=array, config=config, m=metric_record(a=1))) == {"a": 1}


def test_keys_that_two_records_have_get_the_names_of_their_records() -> None:
    said = records(train=metric_record(loss=0.5, n=1), test=metric_record(loss=0.75, m=2))
    assert read(said) == {"train.loss": 0.5, "test.loss": 0.75, "n": 1, "m": 2}


def test_records_that_say_the_same_are_one_object_and_still_two_records() -> None:
    said = records(train=metric_record(loss=0.5), test=metric_record(loss=0.5))
    assert read(said) == {"train.loss": 0.5, "test.loss": 0.5}


def test_metrics_that_are_lists_are_left_out() -> None:
    double_list = b"\x1a\x0a\x0a\x08" + b"\0" * 8  # MetricRecordValue.double_list
    assert read(records(metrics=metric_record(losses=double_list, loss=0.5))) == {"loss": 0.5}


def test_metrics_that_json_has_no_number_for_are_left_out() -> None:
    odd = {"a": float("nan"), "b": float("inf"), "c": float("-inf")}
    assert read(records(metrics=metric_record(**odd, loss=0.5))) == {"loss": 0.5}


def test_an_error_has_no_metrics() -> None:
    assert read(fleet.Error(code=2, reason="no data")) == {}


def test_a_reply_that_came_whole_has_them_in_it() -> None:
    replies = Replies()
    content = replies.messages.add().content
    for name in ("first", "second"):
        item = content.items.add(key=name)
        for key, value in (("loss", 0.25), (name, 1.0), ("bad", math.nan)):
            item.metric_record.items.add(key=key).value.double = value
    assert metrics_in(replies.SerializeToString()) == {
        "first.loss": 0.25,
        "second.loss": 0.25,
        "first": 1.0,
        "second": 1.0,
    }


def test_what_came_whole_and_is_laid_out_otherwise_has_none() -> None:
    nothing: dict[str, bytes] = {}
    assert metrics_of([], nothing.__getitem__) == {}
    assert metrics_in(b"\xff\xff") == {}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"no JSON", b"[]", b"7", b"\xff", b"[" * 100_000),
        *(b'{"m": null}', b'{"m": 7}', b'{"m": []}', b'{"m": {}}', b'{"m": ""}', b'{"m": "../a"}'),
    ],
)
def test_a_record_dict_that_is_laid_out_otherwise_has_none(body: bytes) -> None:
    assert read(make_object("RecordDict", body)) == {}


def test_what_was_found_before_something_else_came_stands() -> None:
    odd = make_object("MetricRecord", b"\xff")
    assert read(records(metrics=metric_record(loss=0.5), odd=odd)) == {"loss": 0.5}


ids = st.sampled_from("abz")
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | ids,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
bodies = st.binary() | (json_values | st.dictionaries(st.text(), json_values)).map(
    lambda value: json.dumps(value).encode()
)
objects = st.binary() | st.builds(
    lambda kind, children, body: f"{kind} {','.join(children)} {len(body)}\0".encode() + body,
    st.sampled_from(["Message", "RecordDict", "MetricRecord", ""]),
    st.lists(ids),
    bodies,
)


@given(first=bodies, second=objects, last=objects)
def test_whatever_the_objects_hold_nothing_is_raised(
    first: bytes, second: bytes, last: bytes
) -> None:
    said = {
        "message": b"Message a,b 0\0",
        "a": f"RecordDict b {len(first)}\0".encode() + first,
        "b": second,
    }
    for contents in (said, {**said, "message": last}):
        found = metrics_of(["a", "b", "message"], contents.__getitem__)
        json.dumps(found, allow_nan=False)


@given(st.binary())
def test_whatever_a_metric_record_holds_nothing_is_raised(body: bytes) -> None:
    read(records(metrics=make_object("MetricRecord", body)))


def test_only_so_many_metrics_are_read_however_many_there_are() -> None:
    many = {f"metric {number}": 1.0 for number in range(3000)}
    assert len(read(records(metrics=metric_record(**many)))) == 1000
    assert len(metrics_in(whole(many))) == 1000


def test_the_same_key_in_many_records_is_told_apart() -> None:
    said = records(**{f"r{number}": metric_record(loss=number) for number in range(900)})
    assert read(said) == {f"r{number}.loss": number for number in range(900)}


def test_a_long_key_is_no_metric() -> None:
    assert read(records(metrics=metric_record(**{"x" * 1000: 1, "loss": 0.5}))) == {"loss": 0.5}


def test_a_record_that_is_named_again_and_again_is_read_within_bounds() -> None:
    large = metric_record(**{f"{number:0180}": number for number in range(1000)})
    names = {str(number): large.tree.object_id for number in range(500)}
    reads = []
    content = make_object("RecordDict", json.dumps(names).encode(), large)
    _, objects = make_message(SENT, content)

    def counting(object_id: str) -> bytes:
        reads.append(len(objects.contents[object_id]))
        return objects.contents[object_id]

    metrics_of(list(objects.contents), counting)
    assert sum(reads) < 4 << 20


def test_a_record_that_is_too_large_to_be_read_is_passed_over() -> None:
    big = metric_record(**{f"{number:0100}": number for number in range(4000)})
    _, objects = make_message(SENT, records(big=big, small=metric_record(loss=0.5)))

    def limited(object_id: str) -> bytes:
        if len(objects.contents[object_id]) > OBJECT_BYTES:
            raise BundleError("too large")
        return objects.contents[object_id]

    assert metrics_of(list(objects.contents), limited) == {"loss": 0.5}


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[]", b"7", b'{"m": 5}', b'{"m": null}'])
def test_a_message_that_is_laid_out_otherwise_has_no_metrics(body: bytes) -> None:
    assert read(make_object("RecordDict", body)) == {}


def whole(metrics: dict[str, float]) -> bytes:
    """Return a reply that came whole."""
    replies = Replies()
    item = replies.messages.add().content.items.add(key="metrics")
    for key, value in metrics.items():
        item.metric_record.items.add(key=key).value.double = value
    return replies.SerializeToString()


def test_of_a_reply_that_came_whole_a_record_that_is_too_large_is_passed_over() -> None:
    replies = Replies()
    content = replies.messages.add().content
    for name, count in (("big", 4000), ("small", 1)):
        record = content.items.add(key=name).metric_record
        for number in range(count):
            record.items.add(key=f"{number:0100}").value.double = 0.5
    assert metrics_in(replies.SerializeToString()) == {f"{0:0100}": 0.5}


def test_of_a_reply_that_came_whole_only_so_many_bytes_are_read() -> None:
    """Each of its records has one metric, and much else that no report has."""
    replies = Replies()
    content = replies.messages.add().content
    for number in range(100):
        record = content.items.add(key=f"record {number}").metric_record
        record.items.add(key="x" * (200 << 10))
        record.items.add(key=f"metric {number}").value.double = 0.5
    assert len(metrics_in(replies.SerializeToString())) == 10
