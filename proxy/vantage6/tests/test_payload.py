"""A bundle in a vantage6 container's input or output: it comes out as it went in, or not at all."""

import base64
import contextlib
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.bundle_pb2 import Header
from proxy.bundle import Bundle
from proxy.errors import BundleError, CarrierError
from proxy.fleet.messages import object_id
from proxy.tests.helpers import flipped, noise, write_bundle
from proxy.vantage6 import payload

FIELDS = {"method": "courier", "kwargs": {"message_id": "1f", "timeout": 60.0}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text().filter(lambda key: key != "bundle"), json_values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("payloads")


def written(folder: Path, fields: dict[str, Any], bundle: bytes | None = None) -> Path:
    """Write a payload, with these bytes in place of a bundle."""
    source = folder / "source"
    source.write_bytes(bundle or b"")
    payload.write(folder / "payload", fields, None if bundle is None else source)
    return folder / "payload"


def saved(path: Path) -> bytes:
    """Return the bundle that is read from a payload."""
    target = path.with_name("target")
    with payload.read(path) as task:
        task.save_bundle(target)
    return target.read_bytes()


@pytest.mark.parametrize("config", [{"bundle": "small", "rounds": 3}, {"of": {"bundle": ""}}])
def test_a_run_config_may_have_a_key_bundle(folder: Path, config: dict[str, Any]) -> None:
    fields = {"method": "central", "kwargs": {"run_config": config, "deadline": 60.0}}
    with payload.read(written(folder, fields)) as task:
        assert task.fields == fields
        assert not task.has_bundle


@settings(max_examples=settings().max_examples // 2)
@given(fields=json_objects, bundle=st.binary() | st.none())
def test_members_come_out_as_they_went_in(
    folder: Path, fields: dict[str, Any], bundle: bytes | None
) -> None:
    with payload.read(written(folder, fields, bundle)) as task:
        assert {key: task.fields[key] for key in fields} == fields
        assert task.has_bundle == (bundle is not None)


@settings(max_examples=settings().max_examples // 2)
@given(fields=json_objects, bundle=st.binary())
def test_a_bundle_comes_out_as_it_went_in(
    folder: Path, fields: dict[str, Any], bundle: bytes
) -> None:
    assert saved(written(folder, fields, bundle)) == bundle


@pytest.mark.parametrize("size", [3 * 2**18 + more for more in range(-2, 3)] + [3 * 10**6])
def test_a_bundle_of_several_pieces_comes_out_as_it_went_in(folder: Path, size: int) -> None:
    bundle = noise(size)
    assert saved(written(folder, FIELDS, bundle)) == bundle


def test_a_payload_is_json_as_vantage6_demands_it(folder: Path) -> None:
    found = json.loads(written(folder, FIELDS, b"a bundle").read_text("utf-8"))
    assert base64.b64decode(found.pop("bundle"), validate=True) == b"a bundle"
    assert found == FIELDS


@pytest.mark.parametrize(
    "form",
    [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}],
    ids=["as Python does", "indented", "compact", "in UTF-8"],
)
@settings(max_examples=settings().max_examples // 4)
@given(fields=json_objects, bundle=st.binary())
def test_a_payload_that_another_program_wrote_anew_still_reads(
    folder: Path, form: dict[str, Any], fields: dict[str, Any], bundle: bytes
) -> None:
    path = written(folder, fields, bundle)
    anew = json.dumps(json.loads(path.read_bytes()), **form)
    path.write_bytes(anew.encode())
    with payload.read(path) as task:
        assert {key: task.fields[key] for key in fields} == fields
    assert saved(path) == bundle


def test_a_changed_bit_is_found_here_or_in_the_bundle_or_without_effect_on_it(
    folder: Path,
) -> None:
    sound = write_bundle(folder / "a.bundle", Header(message_id="1f"), {object_id(b"x"): b"x"})
    original = sound.read_bytes()
    path = written(folder, FIELDS, original)
    for altered in flipped(path.read_bytes(), bits=2):
        path.write_bytes(altered)
        with contextlib.suppress(CarrierError):
            received = saved(path)
            if received != original:
                (folder / "received").write_bytes(received)
                with pytest.raises(BundleError):
                    Bundle(folder / "received")


@pytest.mark.parametrize("base64", ["eA=", "e?A=", "eA==eA==", "e A=", "eA==\\n", "é", "="])
def test_what_is_no_base64_is_refused(folder: Path, base64: str) -> None:
    (folder / "bad").write_text(f'{{"bundle": "{base64}"}}')
    with pytest.raises(CarrierError, match="a damaged bundle"):
        saved(folder / "bad")


def test_a_payload_that_is_cut_off_anywhere_gives_no_bundle(folder: Path) -> None:
    path = written(folder, FIELDS, noise(100))
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(CarrierError):
            saved(path)


@given(st.binary() | st.text().map(lambda text: f'{{"bundle": "{text}"}}'.encode(errors="replace")))
def test_any_file_is_a_payload_or_a_carrier_error(folder: Path, data: bytes) -> None:
    (folder / "any").write_bytes(data)
    with contextlib.suppress(CarrierError):
        saved(folder / "any")


def test_something_behind_the_bundle_is_refused(folder: Path) -> None:
    path = folder / "more"
    path.write_text('{"bundle": "eA==", "more": 1}')
    with pytest.raises(CarrierError, match="after its bundle"):
        saved(path)


def test_a_payload_without_a_bundle_says_so(folder: Path) -> None:
    with pytest.raises(CarrierError, match="has no bundle"):
        saved(written(folder, {"served": 3}))


@pytest.mark.parametrize("text", ["", "[]", '"bundle"', "{", "not json"])
def test_what_is_no_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "other").write_text(text)
    with pytest.raises(CarrierError, match=r"is not valid JSON|is not a JSON object"):
        saved(folder / "other")


def test_members_of_more_than_a_megabyte_are_refused_unread(folder: Path) -> None:
    path = written(folder, {"kwargs": "x" * 2**20}, b"a bundle")
    with pytest.raises(CarrierError, match="JSON"):
        saved(path)


def test_a_payload_that_is_not_there_is_a_carrier_error(folder: Path) -> None:
    with pytest.raises(CarrierError, match="cannot be read"):
        saved(folder / "nothing")


# Answers where the carrier has a limit


@pytest.mark.parametrize("limit", [None, 100, 101])
def test_an_answer_within_the_limit_is_written(folder: Path, limit: int | None) -> None:
    (folder / "answer").write_bytes(noise(100))
    payload.write_answer(folder / "payload", folder / "answer", limit)
    assert saved(folder / "payload") == noise(100)


def test_an_answer_above_the_limit_is_refused_with_both_sizes_and_nothing_is_written(
    folder: Path,
) -> None:
    (folder / "answer").write_bytes(noise(100))
    with pytest.raises(CarrierError) as refused:
        payload.write_answer(folder / "too large", folder / "answer", 99)
    said = "The reply has 100 bytes; the limit of the carrier is 99."
    assert refused.value.message == said
    assert not (folder / "too large").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "[" * 100_000])
def test_members_that_are_nested_without_end_are_refused(folder: Path, text: str) -> None:
    (folder / "nested").write_text(text)
    with pytest.raises(CarrierError, match="nested too deeply"), payload.read(folder / "nested"):
        pass


def test_a_payload_that_a_full_disk_does_not_take_leaves_room_for_the_reason(folder: Path) -> None:
    bundle = folder / "a.bundle"
    bundle.write_bytes(bytes(3 << 20))
    target = folder / "output"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(CarrierError, match="output cannot be written: File too large"):
            payload.write(target, FIELDS, bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b""


# On one machine


def test_a_linked_bundle_is_the_same_file_all_the_way(folder: Path) -> None:
    bundle, target = folder / "linked-bundle", folder / "linked-target"
    bundle.write_bytes(noise(100))
    payload.write_linked(folder / "linked", FIELDS, bundle)
    with payload.read(folder / "linked") as task:
        assert task.fields == FIELDS
        assert task.linked
        task.save_bundle(target)
    assert target.samefile(bundle)
    payload.write_answer(folder / "linked-answer", target, None, linked=True)
    with payload.read(folder / "linked-answer") as result:
        result.save_bundle(folder / "linked-reply")
    assert (folder / "linked-reply").samefile(bundle)
