"""A long string in a JSON text, as other programs write it; `test_payload` has what we write."""

import io
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import CarrierError
from proxy.vantage6.members import Member, decoded, encoded, with_member


def value(text: str, name: str = "result") -> bytes:
    return b"".join(Member(io.BytesIO(text.encode()), name).pieces())


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("length", [0, 1, 1 << 20, 3_000_000])
def test_the_first_member_of_a_name_is_found_wherever_it_stands(
    length: int, indent: int | None
) -> None:
    long = "A" * length
    text = {"data": [{"id": 1, "results": "B", "result": long}, {"result": "C"}], "links": {}}
    assert value(json.dumps(text, indent=indent)) == long.encode()


@pytest.mark.parametrize("text", ['{"result": null}', '{"results": ""}', "{}", ""])
def test_a_member_that_is_no_string_is_not_found(text: str) -> None:
    member = Member(io.BytesIO(text.encode()), "result")
    assert (member.found, member.before) == (False, text.encode())


def test_what_stands_around_a_member_is_kept() -> None:
    member = Member(io.BytesIO(b'{"id": 1, "result": "AAAA", "more": 2}'), "result")
    assert b"".join(member.pieces()) == b"AAAA"
    assert (member.before, member.after) == (b'{"id": 1, ', b', "more": 2}')


@pytest.mark.parametrize("length", [0, 5, 2_000_000])
def test_a_text_that_ends_within_a_member_is_cut_off(length: int) -> None:
    with pytest.raises(CarrierError, match="cut off"):
        value('{"result": "' + "A" * length)


@given(fields=st.dictionaries(st.text(), st.text()), pieces=st.lists(st.sampled_from(["AA", ""])))
def test_what_is_written_is_json(fields: dict[str, str], pieces: list[str]) -> None:
    written = b"".join(with_member(fields, "long", [each.encode() for each in pieces]))
    assert json.loads(written) == fields | {"long": "".join(pieces)}


def test_an_object_may_be_within_others() -> None:
    written = b'{"all": [' + b"".join(with_member({}, "long", [b"AA"], b"}]}"))
    assert json.loads(written) == {"all": [{"long": "AA"}]}


@given(st.lists(st.binary()), st.integers(1, 7))
def test_base64_comes_out_as_it_went_in_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    text = b"".join(encoded(pieces))
    assert text == b64encode(b"".join(pieces))
    cut = [text[start : start + size] for start in range(0, len(text), size)]
    assert b"".join(decoded(cut)) == b"".join(pieces)


@pytest.mark.parametrize("text", [b"A", b"AA", b"AAA", b"AA=A", b"A\nAA", b"AAA$"])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_what_is_no_base64_is_an_error(text: bytes, size: int) -> None:
    cut = [text[start : start + size] for start in range(0, len(text), size)]
    with pytest.raises(CarrierError, match="base64"):
        list(decoded(cut))
