"""Tapes: what is written is read again, but for large contents and all that is damaged."""

import lzma
from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from protos import tape_pb2
from proxy.errors import TapeError
from proxy.fleet.messages import object_id
from proxy.tapes import tape
from proxy.tapes.tape import KEPT_BYTES, MAGIC, Call, Tape, TapeWriter, read_tape
from proxy.tests.helpers import noise


def written(path: Path, *calls: tape_pb2.Call) -> Tape:
    writer = TapeWriter(path, "grpc", "a test")
    for call in calls:
        writer.add(call)
    writer.close()
    return read_tape(path)


def pulling(content: bytes) -> tape_pb2.Call:
    request = fleet.PullObjectRequest(object_id=object_id(content))
    answer = fleet.PullObjectResponse(
        object_found=True, object_available=True, object_content=content
    )
    return tape_pb2.Call(
        method="PullObject",
        at=5.0,
        request=request.SerializeToString(),
        answer=answer.SerializeToString(),
    )


def pushing(content: bytes) -> tape_pb2.Call:
    request = fleet.PushObjectRequest(object_id=object_id(content), object_content=content)
    return tape_pb2.Call(method="PushObject", request=request.SerializeToString(), answer=b"")


def getting(content: bytes) -> tape_pb2.Call:
    answer = fleet.GetFabResponse(fab=fleet.Fab(hash_str=object_id(content), content=content))
    return tape_pb2.Call(method="GetFab", answer=answer.SerializeToString())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    call = pulling(b"an object")
    refusal = tape_pb2.Refusal(status="HTTP 403", detail="no such run")
    refused = tape_pb2.Call(method="GetRun", at=6.0, request=b"r", refusal=refusal)
    tape = written(tmp_path / "one.tape", call, refused)
    assert (tape.name, tape.header.about, tape.header.transport) == ("one.tape", "a test", "grpc")
    assert tape.calls == (
        Call(1, "PullObject", 5.0, call.request, call.answer),
        Call(2, "GetRun", 6.0, b"r", None, "HTTP 403: no such run"),
    )


@pytest.mark.parametrize("made", [pulling, pushing, getting])
def test_a_large_content_is_left_out_but_for_its_id(made: object, tmp_path: Path) -> None:
    assert callable(made)
    content = noise(KEPT_BYTES + 1)
    path = tmp_path / "large.tape"
    (call,) = written(path, made(content)).calls
    assert call.left_out_bytes == len(content)
    assert object_id(content).encode() in call.request + (call.answer or b"")
    assert path.stat().st_size < 1000


@pytest.mark.parametrize("made", [pulling, pushing, getting])
def test_a_content_that_is_not_large_is_kept(made: object, tmp_path: Path) -> None:
    assert callable(made)
    content = noise(KEPT_BYTES)
    (call,) = written(tmp_path / "kept.tape", made(content)).calls
    assert call.left_out_bytes == 0
    assert content in call.request + (call.answer or b"")


@pytest.mark.parametrize("left", [0, 10, -1])
def test_a_tape_that_was_cut_off_is_refused(left: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.tape"
    written(path, pulling(b"an object"))
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(TapeError, match=r"cut\.tape is not a tape, or is damaged or cut off"):
        read_tape(path)


def test_a_record_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.tape"
    written(path, pulling(b"an object"))
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes())[:-1]))
    with pytest.raises(TapeError, match="last record is not whole"):
        read_tape(path)


@pytest.mark.parametrize(
    "content", [b"", b"text", lzma.compress(b"text"), lzma.compress(MAGIC), lzma.compress(b"")]
)
def test_what_is_no_tape_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(TapeError, match="other is not a tape"):
        read_tape(path)


def test_no_tape_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file"):
        read_tape(tmp_path / "missing.tape")
    with pytest.raises(TapeError, match="cannot be written"):
        TapeWriter(tmp_path / "missing" / "some.tape", "http", "")


def test_what_is_no_fleet_message_is_kept_as_it_is(tmp_path: Path) -> None:
    call = tape_pb2.Call(method="PullObject", request=b"abc", answer=b"abc")
    (kept,) = written(tmp_path / "odd.tape", call).calls
    assert (kept.request, kept.answer) == (b"abc", b"abc")


def test_a_tape_that_would_expand_far_beyond_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape, "FREE_BYTES", 1 << 20)
    path = tmp_path / "bomb.tape"
    record = (1 << 30).to_bytes(4, "big") + bytes(4 << 20)
    path.write_bytes(lzma.compress(MAGIC + record, preset=0))
    with pytest.raises(TapeError, match="expands to more than a tape of its size"):
        read_tape(path)


def test_a_tape_of_calls_of_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape, "_MOST_CALLS", 1000)
    path = tmp_path / "bomb.tape"
    path.write_bytes(lzma.compress(MAGIC + bytes(1 << 13), preset=0))
    with pytest.raises(TapeError, match="more than 1,000 calls"):
        read_tape(path)


def test_a_tape_that_wants_gigabytes_to_be_expanded_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tape"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    xz = lzma.LZMACompressor(filters=filters)
    path.write_bytes(xz.compress(MAGIC) + xz.flush())
    with pytest.raises(TapeError, match="Memory usage limit"):
        read_tape(path)
