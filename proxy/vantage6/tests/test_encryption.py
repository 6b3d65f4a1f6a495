"""What a server stores of an encrypted collaboration is read with the right key only.

That vantage6 itself reads and writes the same: `integration_tests/test_vantage6_encryption.py`.
"""

import contextlib
import json
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import CarrierError, UsageError, Vantage6Error
from proxy.vantage6.encryption import Encrypted, Plain
from proxy.vantage6.v4.testing import private_key, public_key

ALPHA, BETA = 1, 2


def key_file(folder: Path, content: bytes) -> Path:
    path = folder / "private_key.pem"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Encrypted:
    return Encrypted(key_file(tmp_path_factory.mktemp("alpha"), private_key(ALPHA)))


@pytest.fixture(scope="module")
def beta(tmp_path_factory: pytest.TempPathFactory) -> Encrypted:
    return Encrypted(key_file(tmp_path_factory.mktemp("beta"), private_key(BETA)))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@settings(max_examples=settings().max_examples // 2)
@given(pieces=st.lists(st.binary()), size=st.integers(1, 500))
def test_the_receiver_reads_what_was_sealed_however_it_is_cut(
    alpha: Encrypted, beta: Encrypted, pieces: list[bytes], size: int
) -> None:
    sealed = b"".join(beta.seal(pieces, public_key(ALPHA)))
    assert b"".join(alpha.unseal(cut(sealed, size))) == b"".join(pieces)


def test_what_is_sealed_is_a_string_without_escapes_in_json(alpha: Encrypted) -> None:
    sealed = b"".join(alpha.seal([bytes(range(256))], public_key(ALPHA))).decode()
    assert json.dumps(sealed) == f'"{sealed}"'


def test_the_same_is_never_sealed_the_same_way(alpha: Encrypted) -> None:
    one, other = (b"".join(alpha.seal([b"model"], public_key(ALPHA))) for _ in range(2))
    assert all(a != b for a, b in zip(one.split(b"$"), other.split(b"$"), strict=True))


def test_the_sender_does_not_read_it(alpha: Encrypted, beta: Encrypted) -> None:
    read = b""
    # Now and then a wrong key seems to fit, and what it reads is noise.
    with contextlib.suppress(Vantage6Error):
        read = b"".join(beta.unseal(beta.seal([b"a model"], public_key(ALPHA))))
    assert read != b"a model"


@pytest.mark.parametrize("size", [16, 24, 44])
def test_a_key_of_another_size_is_none_of_vantage6s(alpha: Encrypted, size: int) -> None:
    key = load_pem_private_key(private_key(ALPHA), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    sealed_key = b64encode(key.public_key().encrypt(bytes(size), PKCS1v15()))
    with pytest.raises(Vantage6Error, match="cannot be decrypted"):
        list(alpha.unseal([sealed_key + b"$" + b64encode(bytes(16)) + b"$" + b64encode(b"text")]))


@pytest.mark.parametrize(
    "stored",
    [b"", b"e30=", b"$$", b"a$b$c", b"AAAA$AAAA$AAAA", b"e30=$e30="],
    ids=["nothing", "plain", "empty", "no base64", "short", "cut off"],
)
def test_what_is_not_sealed_is_said_not_to_be(alpha: Encrypted, stored: bytes) -> None:
    with pytest.raises(Vantage6Error, match="cannot be decrypted"):
        list(alpha.unseal([stored]))


def test_damage_behind_the_key_is_found(alpha: Encrypted) -> None:
    sealed = b"".join(alpha.seal([b"a model"], public_key(ALPHA)))
    with pytest.raises(CarrierError, match="base64"):
        list(alpha.unseal([sealed[:-1]]))


def test_a_private_key_knows_its_public_half(alpha: Encrypted) -> None:
    assert alpha.reads_for(public_key(ALPHA))
    assert not alpha.reads_for(public_key(BETA))
    assert not alpha.reads_for("")


@pytest.mark.parametrize("stored", ["", "no base64", b64encode(b"no PEM").decode()])
def test_an_organization_without_a_public_key_gets_nothing(alpha: Encrypted, stored: str) -> None:
    with pytest.raises(Vantage6Error, match="no valid public key"):
        list(alpha.seal([b"a model"], stored))


def test_a_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    pem, pkcs8 = Encoding.PEM, PrivateFormat.PKCS8
    rsa_key = load_pem_private_key(private_key(ALPHA), None)
    locked = rsa_key.private_bytes(pem, pkcs8, BestAvailableEncryption(b"password"))
    foreign = ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, pkcs8, NoEncryption())
    for content, said in (
        (b"", "cannot be read"),
        (locked, "assword"),
        (foreign, "not an RSA key"),
    ):
        path = key_file(tmp_path, content)
        with pytest.raises(UsageError, match=said) as caught:
            Encrypted(path)
        assert str(path) in caught.value.message
    with pytest.raises(UsageError, match="No such file"):
        Encrypted(tmp_path / "missing.pem")


@settings(max_examples=settings().max_examples // 2)
@given(pieces=st.lists(st.binary()), size=st.integers(1, 50))
def test_without_encryption_it_is_base64(pieces: list[bytes], size: int) -> None:
    sealed = b"".join(Plain().seal(pieces, ""))
    assert sealed == b64encode(b"".join(pieces))
    assert b"".join(Plain().unseal(cut(sealed, size))) == b"".join(pieces)
