"""What a station holds: the same for all containers of a job, whole or not there, and bounded."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from algorithm.station.object_store import ObjectStore
from proxy.errors import BundleError
from proxy.fleet.messages import object_id
from proxy.tests.helpers import noise

KIB = 1 << 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def contents(number: int, size: int = KIB) -> Iterator[bytes]:
    return (noise(size, bytes([each])) for each in range(number))


def keep(store: ObjectStore, content: bytes, used_at: int) -> str:
    """Keep an object, as if that had been at a time."""
    os.utime(store.keep(object_id(content), content), (used_at, used_at))
    return object_id(content)


# Keeping


def test_what_is_kept_is_found_by_all_containers(folder: Path) -> None:
    path = ObjectStore(folder).keep(object_id(b"content"), b"content")
    assert path.read_bytes() == b"content"
    assert ObjectStore(folder).get(object_id(b"content")) == b"content"
    assert ObjectStore(folder).get(object_id(b"other")) is None


def test_what_is_not_here_is_named(folder: Path) -> None:
    store = ObjectStore(folder)
    held, other = object_id(b"held"), object_id(b"other")
    assert store.missing([held, other]) == [held, other]
    store.keep(held, b"held")
    assert store.missing([held, other]) == [other]


@pytest.mark.parametrize("wrong", ["", ".", "../secret", "/etc/hostname", "generation", "0" * 63])
def test_what_cannot_be_an_object_id_is_not_there(folder: Path, wrong: str) -> None:
    store = ObjectStore(folder)
    store.generation()
    (folder.parent / "secret").write_text("not an object")
    assert store.get(wrong) is None
    with pytest.raises(BundleError):
        store.keep(wrong, b"content")


def test_what_is_not_what_its_id_says_is_not_kept(folder: Path) -> None:
    with pytest.raises(BundleError, match="altered"):
        ObjectStore(folder).keep(object_id(b"content"), b"other")


# Damage


@pytest.mark.parametrize("torn", [b"", b"cont", b"con\0\0\0\0"])
def test_a_damaged_object_is_not_here_and_can_be_kept_anew(folder: Path, torn: bytes) -> None:
    store = ObjectStore(folder)
    path = store.keep(object_id(b"content"), b"content")
    path.write_bytes(torn)
    assert store.get(object_id(b"content")) is None
    path.write_bytes(torn)
    assert store.keep(object_id(b"content"), b"content").read_bytes() == b"content"


def test_a_store_whose_name_was_damaged_gets_another(folder: Path) -> None:
    before = ObjectStore(folder).generation()
    (folder / "generation").write_text(before[:5])
    after = ObjectStore(folder).generation()
    assert after != before
    assert ObjectStore(folder).generation() == after


# Bounds


def test_the_objects_that_were_not_used_for_longest_make_room(folder: Path) -> None:
    store = ObjectStore(folder, max_bytes=3 * KIB)
    first, second, third, fourth = contents(4)
    ids = [keep(store, content, at) for at, content in enumerate((first, second, third))]
    assert store.get(ids[0]) == first  # used just now
    store.keep(object_id(fourth), fourth)
    assert store.missing([*ids, object_id(fourth)]) == [ids[1]]


def test_there_are_never_more_objects_than_may_be(folder: Path) -> None:
    store = ObjectStore(folder, max_objects=2)
    ids = [keep(store, content, at) for at, content in enumerate(contents(5))]
    assert store.missing(ids) == ids[:3]


def test_what_a_crash_left_makes_room_too(folder: Path) -> None:
    store = ObjectStore(folder, max_bytes=2 * KIB)
    folder.mkdir()
    (folder / "0.part").write_bytes(noise(2 * KIB))
    store.keep(object_id(b"content"), b"content")
    assert not (folder / "0.part").exists()


def test_an_object_that_is_larger_than_all_that_is_kept_removes_nothing(folder: Path) -> None:
    store = ObjectStore(folder, max_bytes=KIB)
    small = keep(store, b"small", 1)
    with pytest.raises(BundleError, match="a station keeps 1,024 at most"):
        store.keep(object_id(noise(KIB + 1)), noise(KIB + 1))
    assert store.missing([small]) == []


# Its name


def test_the_store_has_one_name_for_all_containers_even_if_they_ask_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: ObjectStore(folder).generation(), range(40)))
    assert len(names) == 1
    assert [path.name for path in folder.iterdir()] == ["generation"]


def test_every_store_has_a_name_of_its_own(tmp_path: Path) -> None:
    assert ObjectStore(tmp_path / "a").generation() != ObjectStore(tmp_path / "b").generation()
