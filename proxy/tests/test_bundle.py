"""What goes into a bundle comes out of it byte for byte, or it is refused."""

import contextlib
import hashlib
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.bundle_pb2 import Header, Reply
from proxy import bundle
from proxy.blocks import BLOCK_BYTES
from proxy.bundle import Bundle, BundleWriter, Limits
from proxy.errors import BundleError
from proxy.fleet.messages import object_id
from proxy.tests.helpers import flipped, noise

SECONDS = {"clientapp": 1.5, "collect": 0.25}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a bundle may be written, again and again."""
    return tmp_path_factory.mktemp("bundles") / "a.bundle"


def write(path: Path, *objects: bytes) -> Path:
    header = Header(message_id="1f", reply=Reply(push_messages_object_id="ff"))
    with BundleWriter(path, header) as writer:
        for content in objects:
            writer.add(object_id(content), content)
        writer.close(SECONDS)
    return path


def contents(path: Path, limits: Limits = bundle.DEFAULT_LIMITS) -> object:
    """All that a bundle says."""
    with Bundle(path, limits) as found:
        objects = {each: found.read(each) for each in found.object_ids}
        return found.header.SerializeToString(), found.seconds, objects


def refusal(path: Path, limits: Limits = bundle.DEFAULT_LIMITS) -> str:
    """Why a bundle is refused; it has to be."""
    with pytest.raises(BundleError) as caught:
        contents(path, limits)
    return caught.value.message


# Round trips

some_bytes = st.binary(max_size=300)
compressible = st.builds(lambda data, times: data * times, some_bytes, st.integers(1, 50))


@given(st.lists(some_bytes | compressible, max_size=8))
def test_any_set_of_objects_comes_out_byte_for_byte(path: Path, objects: list[bytes]) -> None:
    with Bundle(write(path, *objects)) as found:
        assert {each: found.read(each) for each in found.object_ids} == {
            object_id(content): content for content in objects
        }


@pytest.mark.parametrize("data", [noise(1), b"\0"], ids=["incompressible", "compressible"])
@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_objects_of_about_a_block_or_more_come_out_byte_for_byte(
    path: Path, data: bytes, size: int
) -> None:
    content = noise(size) if data != b"\0" else bytes(size)
    with Bundle(write(path, content)) as found:
        assert found.read(object_id(content)) == content


def test_header_and_seconds_come_out_as_they_went_in(path: Path) -> None:
    with Bundle(write(path)) as found:
        assert found.header.message_id == "1f"
        assert found.header.reply.push_messages_object_id == "ff"
        assert found.seconds == SECONDS


def test_a_bundle_names_the_program_that_wrote_it(path: Path) -> None:
    with Bundle(write(path)) as found:
        assert found.header.writer == bundle.WRITER


def test_a_bundle_knows_the_size_of_its_objects_together(path: Path) -> None:
    with Bundle(write(path, b"four", bytes(1000))) as found:
        assert found.object_bytes == 1004


def test_an_object_that_is_not_there_is_a_key_error(path: Path) -> None:
    with Bundle(write(path)) as found, pytest.raises(KeyError):
        found.read(object_id(b"not there"))


def test_an_object_that_is_added_twice_is_stored_once(path: Path) -> None:
    once = write(path, noise(5000)).stat().st_size
    content = noise(5000)
    assert write(path, content, content).stat().st_size == once


def test_objects_may_be_added_and_read_by_several_threads(path: Path) -> None:
    objects = [noise(size, b"%d" % size) for size in range(0, 20000, 400)]
    with BundleWriter(path, Header()) as writer, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda content: writer.add(object_id(content), content), objects))
        writer.close()
    with Bundle(path) as found, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda content: found.read(object_id(content)), objects)) == objects


# Size


def test_a_compressible_object_is_stored_smaller(path: Path) -> None:
    assert write(path, bytes(10**6)).stat().st_size < 10**5


@pytest.mark.parametrize("size", [10**5, 3 * 10**6])
def test_an_incompressible_object_takes_one_percent_more_at_most(path: Path, size: int) -> None:
    assert write(path, noise(size)).stat().st_size <= 1.01 * size


def test_an_object_that_only_starts_compressible_takes_one_percent_more_at_most(
    path: Path,
) -> None:
    content = bytes(10**4) + noise(10**6)
    assert write(path, content).stat().st_size <= 1.01 * len(content)


@contextlib.contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Measure how many bytes the body takes at most."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_checking_a_bundle_takes_memory_for_a_few_blocks_only(path: Path) -> None:
    write(path, noise(24 * 2**20))
    with peak_memory() as peak:
        Bundle(path).close()
        assert peak() < 6 * 2**20


# Writing


def test_an_object_that_is_not_what_its_id_says_is_not_written(path: Path) -> None:
    with BundleWriter(path, Header()) as writer:
        with pytest.raises(BundleError, match="altered"):
            writer.add(object_id(b"this"), b"that")
        writer.close()
    with Bundle(path) as found:
        assert not found.object_ids


def test_a_bundle_appears_under_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.bundle"
    with BundleWriter(path, Header()) as writer:
        writer.add(object_id(b"this"), b"this")
        assert not path.exists()
        writer.close()
        assert path.exists()
    assert list(tmp_path.iterdir()) == [path]


def test_a_bundle_that_is_not_completed_leaves_nothing_behind(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "a.bundle", Header()) as writer:
        writer.add(object_id(b"this"), b"this")
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_cannot_be_written_is_a_bundle_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written"):
        BundleWriter(tmp_path / "no such folder" / "a.bundle", Header())


@pytest.mark.parametrize("size", [10, 10**6], ids=["when it is completed", "while it is written"])
def test_a_full_disk_is_a_bundle_error_and_nothing_else(tmp_path: Path, size: int) -> None:
    # Whatever is written to /dev/full meets a full disk.
    (tmp_path / "a.bundle.part").symlink_to("/dev/full")

    def write_to_full_disk() -> None:
        content = noise(size)
        with BundleWriter(tmp_path / "a.bundle", Header()) as writer:
            writer.add(object_id(content), content)
            writer.close()

    with pytest.raises(BundleError, match="No space left"):
        write_to_full_disk()
    assert not list(tmp_path.iterdir())


# Refusals


def test_a_changed_bit_is_refused_or_without_effect(path: Path) -> None:
    original = contents(write(path, b"", b"A" * 100, noise(20)))
    accepted = 0
    for altered in flipped(path.read_bytes()):
        path.write_bytes(altered)
        with contextlib.suppress(BundleError):
            assert contents(path) == original
            accepted += 1
    # What is without effect is in zlib's own header and padding.
    assert accepted < 20


def test_a_bundle_that_is_cut_off_anywhere_is_refused(path: Path) -> None:
    whole = write(path, b"", b"A" * 100, noise(20)).read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert refusal(path)


@pytest.mark.parametrize("more", [b"\0", b"O", b"E", b"\n"])
def test_a_bundle_with_one_byte_more_is_refused(path: Path, more: bytes) -> None:
    path.write_bytes(write(path, b"this").read_bytes() + more)
    assert "bytes after its end" in refusal(path)


@given(data=st.data())
def test_any_changed_passage_is_refused_or_without_effect(path: Path, data: st.DataObject) -> None:
    original = contents(write(path, b"", b"A" * 100, noise(20)))
    sound = path.read_bytes()
    start = data.draw(st.integers(0, len(sound)))
    end = data.draw(st.integers(start, len(sound)))
    path.write_bytes(sound[:start] + data.draw(some_bytes) + sound[end:])
    with contextlib.suppress(BundleError):
        assert contents(path) == original


@given(some_bytes)
def test_whatever_follows_a_bundles_first_bytes_is_no_other_error(path: Path, rest: bytes) -> None:
    path.write_bytes(bundle.MAGIC + struct.pack(">H", bundle.FORMAT_VERSION) + rest)
    with pytest.raises(BundleError):
        contents(path)


def test_a_newer_format_is_refused_naming_both(path: Path) -> None:
    data = write(path).read_bytes()
    path.write_bytes(data[:8] + struct.pack(">H", 7) + data[10:])
    assert "format 7, this bridge reads 2" in refusal(path)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(100), b"", b"FLWR"])
def test_a_foreign_file_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert refusal(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "nothing.bundle")
    assert "cannot be read" in refusal(tmp_path)


# Limits: all are checked before what they limit is read.


def head(header_bytes: int) -> bytes:
    return bundle.MAGIC + struct.pack(">HI", bundle.FORMAT_VERSION, header_bytes)


def test_a_bundle_that_is_too_large_is_refused(path: Path) -> None:
    assert "limit" in refusal(write(path, noise(500)), Limits(bundle_bytes=499))


def test_a_header_that_says_it_is_too_large_is_refused_unread(path: Path) -> None:
    path.write_bytes(head(2**32 - 1))
    assert "header" in refusal(path)
    assert "limit" in refusal(path)


def test_an_object_that_says_it_is_too_large_is_refused_unread(path: Path) -> None:
    path.write_bytes(head(0) + b"O" + struct.pack(">32sQ", bytes(32), 101))
    assert "Object 0000" in refusal(path, Limits(object_bytes=100))
    assert "101 bytes; the limit is 100" in refusal(path, Limits(object_bytes=100))


def test_a_footer_that_says_it_is_too_large_is_refused_unread(path: Path) -> None:
    path.write_bytes(head(0) + b"E" + struct.pack(">I", 2**32 - 1))
    assert "limit" in refusal(path)


def test_too_many_objects_are_refused(path: Path) -> None:
    write(path, b"1", b"2", b"3")
    assert contents(path, Limits(objects=3))
    assert "3 objects; the limit is 2" in refusal(path, Limits(objects=2))


def test_objects_that_expand_to_too_much_together_are_refused(path: Path) -> None:
    write(path, bytes(600), bytes(500))
    assert contents(path, Limits(expanded_bytes=1100))
    assert "1,100 bytes once expanded" in refusal(path, Limits(expanded_bytes=1099))


def test_a_block_that_expands_to_more_than_it_says_is_refused_before_it_does(path: Path) -> None:
    bomb = zlib.compress(bytes(32 * 2**20))
    stated = len(bomb) + 1
    digest = hashlib.sha256(bytes(stated)).digest()
    object_head = b"O" + struct.pack(">32sQ", digest, stated)
    path.write_bytes(head(0) + object_head + struct.pack(">I", len(bomb)) + bomb)
    with peak_memory() as peak:
        assert "does not unpack to the size" in refusal(path)
        assert peak() < 2**20


@pytest.mark.parametrize("size", [0, 10, 3 << 20], ids=["nothing", "little", "several blocks"])
def test_the_head_of_an_object_is_what_stands_before_its_first_nul(
    tmp_path: Path, size: int
) -> None:
    head = b"x" * size
    content = head + b"\0body\0"
    with BundleWriter(tmp_path / "bundle", Header()) as writer:
        writer.add(object_id(content), content)
        writer.close()
    with Bundle(tmp_path / "bundle") as bundle:
        assert bundle.head(object_id(content)) == (head, len(content))


# Expansion


def bomb(objects: int = 1) -> bytes:
    """A bundle of objects of a gigabyte of zeros each, in a megabyte."""
    block = zlib.compress(bytes(BLOCK_BYTES), 9)
    blocks = (struct.pack(">I", len(block)) + block) * 1024
    ids = (hashlib.sha256(b"%d" % number).digest() for number in range(objects))
    return head(0) + b"".join(b"O" + struct.pack(">32sQ", each, 1 << 30) + blocks for each in ids)


def test_a_bundle_that_would_expand_far_beyond_its_size_is_refused(path: Path) -> None:
    path.write_bytes(bomb())
    with peak_memory() as peak:
        assert "1,073,741,824 bytes once expanded" in refusal(path)
        assert peak() < 2**20


@pytest.mark.parametrize("size", [300, 40_000, 3 * 2**20], ids=["small", "medium", "blocks"])
def test_models_of_zeros_are_stored_so_that_they_may_be_read(
    path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "FREE_BYTES", 1000)
    monkeypatch.setattr(bundle, "MOST_EXPANDED", 20)
    objects = [bytes(size) + number.to_bytes(4, "big") for number in range(30)]
    stored = write(path, *objects).stat().st_size
    assert stored < sum(map(len, objects)) / 2
    with Bundle(path) as found:
        assert [found.read(object_id(each)) for each in objects] == objects


def test_an_object_is_in_memory_once_when_it_is_read(path: Path) -> None:
    content = noise(24 * 2**20)
    with Bundle(write(path, content)) as found, peak_memory() as peak:
        assert len(found.read(object_id(content))) == len(content)
        assert peak() < 1.3 * len(content)


def test_an_object_that_is_larger_than_its_reader_accepts_is_not_read(path: Path) -> None:
    with Bundle(write(path, bytes(1000))) as found:
        assert found.read(object_id(bytes(1000)), at_most=1000)
        with pytest.raises(BundleError, match="1,000 bytes; the limit is 999"):
            found.read(object_id(bytes(1000)), at_most=999)


def test_a_bundle_that_holds_an_object_twice_is_refused(path: Path) -> None:
    place = b"O" + struct.pack(">32sQ", hashlib.sha256(b"").digest(), 0)
    path.write_bytes(head(0) + 2 * place)
    assert "twice" in refusal(path)


def test_a_header_that_no_reader_takes_is_not_written(path: Path) -> None:
    with pytest.raises(BundleError, match="header has"):
        BundleWriter(path, Header(message_id="x" * (5 << 20)))


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1.0])
def test_seconds_that_are_none_are_left_out(path: Path, nonsense: float) -> None:
    with BundleWriter(path, Header()) as writer:
        writer.close({"clientapp": nonsense, "collect": 0.5, "a stage of nobody": 1.0})
    with Bundle(path) as found:
        assert found.seconds == {"collect": 0.5}


def test_a_footer_of_many_stages_is_refused(path: Path) -> None:
    with BundleWriter(path, Header()) as writer:
        writer.close({str(number): 1.0 for number in range(250_000)})
    assert "footer" in refusal(path)
