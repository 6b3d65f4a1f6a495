"""How letters are kept from whoever runs the store or broker between central and station.

A sealed letter is for one reader and from one writer. Its file:

    magic (8 bytes), format version (u16), writer (32 bytes), reader (32 bytes), length (u32)
    head: HPKE (RFC 9180) to the reader, over the file key (32 bytes) and the head
    signature (64 bytes): Ed25519 of the writer, over all before it
    body: ChaCha20-Poly1305 under the file key, in chunks of `CHUNK_BYTES`, each with 16 bytes more

`writer` and `reader` are SHA-256 of public keys. HPKE is X25519, HKDF-SHA256, ChaCha20-Poly1305,
with all that stands before the head as its `info`. The chunks are the STREAM construction (Hoang,
Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption, CRYPTO 2015): a chunk's nonce is its
number (11 bytes) and whether it is the last (1 byte); so none can be left out, moved or added. The
file key is for one letter, and known to its two ends only, so a chunk of another letter fails, too.

What a reader between sees: who writes to whom, when, and how many bytes.

Unsealed letters have the same head in the clear and the bundle as it is, with the bundle's digest
against accidents, and nothing against anybody's intent.
"""

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from proxy.errors import UsageError
from proxy.lanes.letters.keys import KeyPair, Pairing, PublicKeys
from proxy.lanes.letters.letter import (
    MOST_HEAD_BYTES,
    Altered,
    Head,
    Misaddressed,
    Seal,
    Stranger,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite

CHUNK_BYTES = 1 << 20
_SEALED, _PLAIN = b"FLWRV6S\n", b"FLWRV6P\n"
_VERSION = 1
_PREFIX = Struct(">8sH32s32sI")
_PLAIN_PREFIX = Struct(">8sHI")
_KEY_BYTES, _SIGNATURE_BYTES, _TAG_BYTES = 32, 64, 16
# An X25519 key, with which an HPKE ciphertext begins.
_ENC_BYTES = 32


@dataclass(frozen=True)
class Sealed:
    """Implements `proxy.lanes.letters.letter.Seal` for one end of a lane.

    Attributes
    ----------
    own : KeyPair
        This end's.
    other : PublicKeys
        Those of the other end.
    """

    own: KeyPair
    other: PublicKeys

    def __post_init__(self) -> None:
        """Refuse to begin without what seals; raises `UsageError`."""
        _suite()

    def close(self, head: Head, body: Path | None, letter: Path) -> None:
        """Write a letter; see `Seal.close`."""
        key = os.urandom(_KEY_BYTES)
        secret = key + head.encode()
        length = _ENC_BYTES + len(secret) + _TAG_BYTES
        prefix = _PREFIX.pack(_SEALED, _VERSION, self.own.public.digest, self.other.digest, length)
        sealed = _suite().encrypt(secret, self.other.sealing, info=prefix)
        with letter.open("wb") as file:
            file.write(prefix + sealed + self.own.signing.sign(prefix + sealed))
            if body is None:
                _encrypt(key, None, file)
                return
            with body.open("rb") as source:
                _encrypt(key, source, file)

    def open(self, letter: Path, body: Path) -> Head:
        """Read a letter; see `Seal.open`."""
        with letter.open("rb") as file:
            prefix = _take(file, _PREFIX.size)
            magic, version, writer, reader, length = _PREFIX.unpack(prefix)
            _check_kind(magic, version, _SEALED)
            if writer != self.other.digest:
                raise Stranger(
                    f"A letter is from the key {_shown(writer)}, not from that of the other end,"
                    f" {self.other.fingerprint}."
                )
            if reader != self.own.public.digest:
                raise Misaddressed(
                    f"A letter is for the key {_shown(reader)}, not for ours,"
                    f" {self.own.public.fingerprint}."
                )
            _check_head(length)
            sealed, signature = _take(file, length), _take(file, _SIGNATURE_BYTES)
            try:
                self.other.signing.verify(signature, prefix + sealed)
                secret = _suite().decrypt(sealed, self.own.sealing, info=prefix)
            except (InvalidSignature, InvalidTag, ValueError) as error:
                raise Altered("A letter's head is not as its sender made it.") from error
            head = Head.decode(secret[_KEY_BYTES:])
            with _whole(body) as target:
                _decrypt(secret[:_KEY_BYTES], file, target)
        return head


@dataclass(frozen=True)
class Unsealed:
    """Implements `proxy.lanes.letters.letter.Seal` without any protection."""

    def close(self, head: Head, body: Path | None, letter: Path) -> None:
        """Write a letter; see `Seal.close`."""
        encoded = head.encode()
        with letter.open("wb") as file:
            file.write(_PLAIN_PREFIX.pack(_PLAIN, _VERSION, len(encoded)) + encoded)
            if body is not None:
                with body.open("rb") as source:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)

    def open(self, letter: Path, body: Path) -> Head:
        """Read a letter; see `Seal.open`."""
        with letter.open("rb") as file:
            magic, version, length = _PLAIN_PREFIX.unpack(_take(file, _PLAIN_PREFIX.size))
            _check_kind(magic, version, _PLAIN)
            _check_head(length)
            head = Head.decode(_take(file, length))
            with _whole(body) as target:
                shutil.copyfileobj(file, target, CHUNK_BYTES)
        return head


def seal_with(keys: Pairing | None) -> Seal:
    """Return what closes and opens an end's letters; without keys they are not sealed.

    Raises
    ------
    UsageError
        If there is not what seals.
    """
    return Unsealed() if keys is None else Sealed(keys.own, keys.other)


@functools.cache
def _suite() -> "Suite":
    try:
        from cryptography.hazmat.primitives import hpke  # noqa: PLC0415 - not in older ones
    except ImportError as error:
        raise UsageError(
            "Sealed lanes need the package cryptography in release 47 or newer.",
            "Install flower-v6[folder], flower-v6[https] or flower-v6[kafka]: each brings it.",
        ) from error
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def _encrypt(key: bytes, source: BinaryIO | None, target: BinaryIO) -> None:
    cipher = ChaCha20Poly1305(key)
    number, chunk = 0, source.read(CHUNK_BYTES) if source is not None else b""
    while True:
        following = source.read(CHUNK_BYTES) if source is not None else b""
        target.write(cipher.encrypt(_nonce(number, last=not following), chunk, None))
        if not following:
            return
        number, chunk = number + 1, following


def _decrypt(key: bytes, source: BinaryIO, target: BinaryIO) -> None:
    cipher = ChaCha20Poly1305(key)
    number, chunk = 0, source.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = source.read(CHUNK_BYTES + _TAG_BYTES)
        try:
            target.write(cipher.decrypt(_nonce(number, last=not following), chunk, None))
        except (InvalidTag, ValueError) as error:
            raise Altered("A letter's bundle is not as its sender made it.") from error
        if not following:
            return
        number, chunk = number + 1, following


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise Altered("A letter is truncated.")
    return data


def _check_kind(magic: bytes, version: int, wanted: bytes) -> None:
    if magic == wanted and version == _VERSION:
        return
    if magic == wanted:
        raise Altered(
            f"A letter has format {version}, this bridge reads {_VERSION}. Use the same flower-v6"
            " release at the central and at the stations."
        )
    if magic in (_SEALED, _PLAIN):
        have, need = ("sealed", "not") if magic == _SEALED else ("not sealed", "sealed")
        raise Stranger(f"A letter is {have}, but on this lane letters are {need}.")
    raise Stranger(f"What came is no letter: it starts with {magic!r}.")


def _check_head(length: int) -> None:
    if length > MOST_HEAD_BYTES:
        raise Altered(f"A letter's head has {length:,} bytes; the limit is {MOST_HEAD_BYTES:,}.")


def _shown(digest: bytes) -> str:
    return PublicKeys.shown(digest)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Write a new file; if the body raises, there is none.

    One that is there is not written to: after a power cut it may be a second name of one that is
    needed elsewhere.
    """
    path.unlink(missing_ok=True)
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
