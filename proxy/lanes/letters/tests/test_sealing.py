"""A sealed letter tells its content to its reader alone, and its reader takes no other."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import UsageError
from proxy.lanes.letters import sealing
from proxy.lanes.letters.keys import KeyPair, PublicKeys
from proxy.lanes.letters.letter import (
    Altered,
    Head,
    Kind,
    LetterRefused,
    Misaddressed,
    Stranger,
)
from proxy.lanes.letters.sealing import Sealed, Unsealed
from proxy.tests.helpers import flipped, noise

CENTRAL, NORTH, SOUTH = KeyPair.new(), KeyPair.new(), KeyPair.new()
HEAD = Head(Kind.INSTRUCTION, "north", "e" * 32, "1f", 5)
CHUNK = 64


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "CHUNK_BYTES", CHUNK)


class Post:
    """Letters from the central to a station, and what others do to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.opened = folder / "opened"

    def close(
        self, content: bytes | None, writer: KeyPair = CENTRAL, reader: KeyPair = NORTH
    ) -> bytes:
        body, letter = self._folder / "body", self._folder / "letter"
        if content is not None:
            body.write_bytes(content)
        Sealed(writer, reader.public).close(HEAD, body if content is not None else None, letter)
        return letter.read_bytes()

    def open(self, letter: bytes, reader: KeyPair = NORTH) -> bytes:
        arrived = self._folder / "arrived"
        arrived.write_bytes(letter)
        assert Sealed(reader, CENTRAL.public).open(arrived, self.opened) == HEAD
        return self.opened.read_bytes()

    def refuses(self, letter: bytes, error: type[LetterRefused]) -> None:
        with pytest.raises(error):
            self.open(letter)
        assert not self.opened.exists()


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 1000])
def test_a_letter_arrives_as_it_was_sent(post: Post, size: int) -> None:
    assert post.open(post.close(noise(size))) == noise(size)


def test_what_is_there_under_the_name_of_a_bundle_is_replaced_and_not_written_to(
    post: Post, tmp_path: Path
) -> None:
    kept = tmp_path / "reply that is needed"
    kept.write_bytes(b"a reply")
    post.opened.hardlink_to(kept)
    assert post.open(post.close(b"another")) == b"another"
    assert kept.read_bytes() == b"a reply"


def test_a_letter_without_a_bundle_arrives(post: Post) -> None:
    assert post.open(post.close(None)) == b""


def test_nothing_of_a_letter_can_be_read_on_its_way(post: Post) -> None:
    letter = post.close(b"weights " * 100)
    for told in (b"weights", b"north", b"instruction", HEAD.exchange.encode()):
        assert told not in letter
    assert letter != post.close(b"weights " * 100)


def test_a_letter_altered_at_any_byte_is_refused(post: Post) -> None:
    for letter in flipped(post.close(noise(2 * CHUNK + 3)), bits=1):
        post.refuses(letter, LetterRefused)


def test_a_letter_that_ends_early_is_refused(post: Post) -> None:
    letter = post.close(noise(2 * CHUNK + 3))
    for size in range(len(letter)):
        post.refuses(letter[:size], LetterRefused)


def test_a_letter_with_something_after_its_end_is_refused(post: Post) -> None:
    post.refuses(post.close(noise(CHUNK)) + b"x", Altered)
    post.refuses(post.close(None) + b"x", Altered)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_chunks_that_are_moved_repeated_or_left_out_are_refused(
    post: Post, data: st.DataObject
) -> None:
    letter = post.close(noise(4 * CHUNK))
    size = CHUNK + 16
    head, body = letter[: -4 * size], letter[-4 * size :]
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    order = data.draw(st.lists(st.integers(0, 3), max_size=6).filter(lambda o: o != [0, 1, 2, 3]))
    post.refuses(head + b"".join(chunks[number] for number in order), Altered)


def test_a_bundle_of_another_letter_is_refused(post: Post) -> None:
    one, other = post.close(b"a" * CHUNK), post.close(b"b" * CHUNK)
    post.refuses(one[: -CHUNK - 16] + other[-CHUNK - 16 :], Altered)


def test_a_letter_from_a_stranger_is_refused(post: Post) -> None:
    post.refuses(post.close(b"weights", writer=SOUTH), Stranger)
    post.refuses(b"GIF89a" + noise(200), Stranger)


def test_a_stranger_cannot_pass_for_the_central(post: Post) -> None:
    letter = bytearray(post.close(b"weights", writer=SOUTH))
    letter[10:42] = CENTRAL.public.digest
    post.refuses(bytes(letter), Altered)


def test_a_letter_for_another_station_is_refused(post: Post) -> None:
    post.refuses(post.close(b"weights", reader=SOUTH), Misaddressed)


def test_a_central_does_not_take_its_own_letter_for_an_answer(post: Post, tmp_path: Path) -> None:
    (tmp_path / "back").write_bytes(post.close(b"weights"))
    with pytest.raises(Stranger):
        Sealed(CENTRAL, NORTH.public).open(tmp_path / "back", post.opened)


def test_where_letters_are_sealed_an_open_one_is_refused(post: Post, tmp_path: Path) -> None:
    Unsealed().close(HEAD, None, tmp_path / "open")
    with pytest.raises(Stranger, match="not sealed"):
        Sealed(NORTH, CENTRAL.public).open(tmp_path / "open", post.opened)
    (tmp_path / "sealed").write_bytes(post.close(None))
    with pytest.raises(Stranger, match="is sealed"):
        Unsealed().open(tmp_path / "sealed", post.opened)


def test_a_letter_of_a_newer_release_says_so(post: Post) -> None:
    letter = bytearray(post.close(None))
    letter[9] = 2
    with pytest.raises(Altered, match="format 2"):
        post.open(bytes(letter))


@pytest.mark.parametrize(
    "head",
    [b"", b"[]", b"{}", b'{"kind": "no", "station": "a", "exchange": "b"}',
     b'{"kind": "ping", "station": 1, "exchange": "b"}'],
)  # fmt: skip
def test_a_head_that_says_nothing_sensible_is_refused(head: bytes) -> None:
    with pytest.raises(Altered):
        Head.decode(head)


def test_a_head_of_a_newer_release_is_read() -> None:
    encoded = HEAD.encode().replace(b"{", b'{"more": 1, ', 1)
    assert Head.decode(encoded) == HEAD


def test_keys_are_kept_and_read_again(tmp_path: Path) -> None:
    NORTH.write(tmp_path / "north")
    assert KeyPair.read(tmp_path / "north").public.raw == NORTH.public.raw
    assert PublicKeys.read(tmp_path / "north.pub").raw == NORTH.public.raw
    assert (tmp_path / "north").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    NORTH.write(tmp_path / "north")
    with pytest.raises(UsageError, match="never overwritten"):
        SOUTH.write(tmp_path / "north")


def test_a_public_key_that_the_other_end_gave_is_not_overwritten(tmp_path: Path) -> None:
    given = tmp_path / "north.pub"
    given.write_text(NORTH.public.line("north"))
    with pytest.raises(UsageError, match=r"north\.pub exists, without its private key"):
        KeyPair.new().write(tmp_path / "north")
    assert PublicKeys.read(given).raw == NORTH.public.raw
    assert not (tmp_path / "north").exists()


def test_a_full_disk_leaves_no_key_that_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("proxy.system.durable.write", full)
        with pytest.raises(UsageError, match="No space left"):
            KeyPair.new().write(tmp_path / "north")
    KeyPair.new().write(tmp_path / "north")


def test_an_end_that_cannot_seal_says_so_before_a_letter_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("cryptography.hazmat.primitives.hpke")
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hpke", None)
    sealing._suite.cache_clear()
    with pytest.raises(UsageError, match="cryptography in release 47"):
        Sealed(NORTH, CENTRAL.public)


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    NORTH.write(tmp_path / "north")
    (tmp_path / "north").chmod(0o640)
    with pytest.raises(UsageError, match="other users"):
        KeyPair.read(tmp_path / "north")


def test_a_public_key_in_place_of_a_private_one_is_said_to_be_none(tmp_path: Path) -> None:
    NORTH.write(tmp_path / "north")
    (tmp_path / "north.pub").chmod(0o644)
    with pytest.raises(UsageError, match="is not a lane's private key"):
        KeyPair.read(tmp_path / "north.pub")


@pytest.mark.parametrize("content", ["", "flower-v6-lane", "flower-v6-lane AAAA x", "ssh-rsa A b"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(UsageError, match="is not a lane's public key"):
        PublicKeys.read(tmp_path / "key")
    with pytest.raises(UsageError, match="is not a lane's private key"):
        KeyPair.read(tmp_path / "key")
