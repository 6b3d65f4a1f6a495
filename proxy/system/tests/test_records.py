"""A file of records survives whatever ends its writer, and says where it was altered."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.system.records import DamagedRecords, Record, Records, read

_RECORDS: list[Record] = [{"event": "pulled", "message": "m" * 9}, {"a": 1}, {"text": "ä\n\0 {}"}]


def written(path: Path, records: list[Record]) -> bytes:
    """Write records; returns what is in the file."""
    file = Records(path)
    for record in records:
        file.append(record)
    file.close()
    return path.read_bytes()


def reopened(path: Path) -> list[Record]:
    file = Records(path)
    file.close()
    return file.before


def test_a_reopened_file_has_its_records_and_takes_more(tmp_path: Path) -> None:
    path = tmp_path / "records"
    written(path, _RECORDS)
    file = Records(path)
    assert file.before == _RECORDS
    file.append({"more": True})
    file.close()
    assert reopened(path) == [*_RECORDS, {"more": True}] == read(path)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers()), max_size=4))
def test_what_json_can_say_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    path = tmp_path_factory.mktemp("records") / "records"
    written(path, records)
    assert reopened(path) == records


def test_a_file_that_ends_anywhere_loses_only_the_record_that_was_begun(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", _RECORDS)
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole)):
        path = tmp_path / str(length)
        path.write_bytes(whole[:length])
        complete = max(sum(end <= length for end in ends) - 1, 0)
        assert reopened(path) == _RECORDS[:complete]
        assert written(path, [{"next": length}])
        assert read(path) == [*_RECORDS[:complete], {"next": length}]


@pytest.mark.parametrize("zeros", [1, 3, 4096])
def test_zeros_that_a_power_cut_left_at_the_end_are_cut_off(tmp_path: Path, zeros: int) -> None:
    path = tmp_path / "records"
    path.write_bytes(written(path, _RECORDS) + bytes(zeros))
    assert reopened(path) == _RECORDS
    path.write_bytes(path.read_bytes() + b"0123" + bytes(zeros) + b"}\n")
    assert reopened(path) == _RECORDS


@pytest.mark.parametrize("places", [(0, 2, 3), (0, 1, 1, 2, 3), (0, 2, 1, 3)])
def test_a_line_that_was_taken_out_doubled_or_moved_is_an_error(
    tmp_path: Path, places: tuple[int, ...]
) -> None:
    path = tmp_path / "records"
    lines = written(path, _RECORDS).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[place] for place in places))
    with pytest.raises(DamagedRecords, match=r"records is damaged at byte \d+"):
        read(path)


def test_a_changed_byte_is_an_error_that_names_file_and_place(tmp_path: Path) -> None:
    path = tmp_path / "records"
    whole = written(path, _RECORDS)
    starts = [0, *(place + 1 for place, byte in enumerate(whole) if byte == ord("\n"))]
    for place in range(len(whole)):
        for bit in range(8):
            changed = whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
            path.write_bytes(changed)
            if changed[place] == 0 and place > starts[-2]:
                continue  # in the last record: a power cut may do that
            with pytest.raises(DamagedRecords) as error:
                read(path)
            assert str(path) in error.value.message
            byte = int(error.value.message.split("at byte ")[1].split(":")[0])
            assert byte == max(start for start in starts if start <= place)
            assert path.read_bytes() == changed


@pytest.mark.parametrize(
    "content",
    [b"something else\n", b'00000000 {"format":1}\n', b"00000000 \n", b"83dcefb7 1\n"],
)
def test_another_file_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records"
    path.write_bytes(content)
    with pytest.raises(DamagedRecords):
        Records(path)
    assert path.read_bytes() == content


def test_one_of_a_newer_format_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "records"
    written(path, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.system.records._VERSION", 3)
        path.unlink()
        written(path, [])
    with pytest.raises(DamagedRecords, match="format 2"):
        Records(path)


def test_a_record_that_the_disk_takes_half_of_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records"
    file = Records(path)
    pwrite = os.pwrite

    def full(fd: int, data: bytes, place: int) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return pwrite(fd, data[: len(data) // 2], place)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left") as error:
        file.append({"lost": "x" * 100})
    assert error.value.filename == str(path)
    monkeypatch.undo()
    file.append({"kept": 1})
    file.close()
    assert reopened(path) == [{"kept": 1}]


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_signal_during_a_write_leaves_the_record_whole_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "records"
    file = Records(path)
    real = getattr(os, call)

    def interrupted(*given: Any) -> None:
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        file.append({"interrupted": "x" * 100})
    monkeypatch.undo()
    file.append({"later": 1})
    file.close()
    interrupted_one = [{"interrupted": "x" * 100}] if call == "fdatasync" else []
    assert reopened(path) == [*interrupted_one, {"later": 1}]


@pytest.mark.parametrize("call", ["fdatasync", "ftruncate"])
def test_after_the_disk_failed_nothing_is_promised_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    file = Records(tmp_path / "records")
    failing: dict[str, Callable[..., None]] = {call: fail}
    if call == "ftruncate":
        failing["pwrite"] = fail
    for name, function in failing.items():
        monkeypatch.setattr(os, name, function)
    with pytest.raises(OSError, match="Input/output"):
        file.append({"a": 1})
    monkeypatch.undo()
    with pytest.raises(OSError, match="failed earlier"):
        file.append({"b": 1})
