"""The keys of a lane's ends: whom letters are sealed to, and who signed them.

Each end has a pair of key pairs: X25519, to which letters are sealed, and Ed25519, which signs
them. A private file `NAME` has both in PEM; `NAME.pub` is one line, to be given to the other end:

    flower-v6-lane BASE64 NAME

with the 32 bytes of the Ed25519 key, then those of the X25519 key. The fingerprint is what two
people compare by telephone.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from proxy.errors import UsageError, reason_of
from proxy.system import durable

_WORD = "flower-v6-lane"
_RAW_BYTES = 32
# A station's name is a folder's, and part of a topic's name.
STATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----\n?", re.DOTALL)
_HINT = "`flower-v6 keys --lane` makes such keys."


@dataclass(frozen=True)
class PublicKeys:
    """One end's public keys.

    Attributes
    ----------
    signing : Ed25519PublicKey
        Checks its signatures.
    sealing : X25519PublicKey
        Seals letters to it.
    """

    signing: Ed25519PublicKey
    sealing: X25519PublicKey

    @property
    def raw(self) -> bytes:
        """Both keys, 64 bytes."""
        return self.signing.public_bytes_raw() + self.sealing.public_bytes_raw()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of both."""
        return hashlib.sha256(self.raw).digest()

    @property
    def fingerprint(self) -> str:
        """The digest, for people to compare."""
        return self.shown(self.digest)

    @staticmethod
    def shown(digest: bytes) -> str:
        """Return the start of a digest in groups of four."""
        return " ".join(re.findall("....", digest.hex()[:32]))

    def line(self, name: str) -> str:
        """Return the line that is given to the other end."""
        return f"{_WORD} {base64.b64encode(self.raw).decode()} {name}"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file that the other end gave.

        Raises
        ------
        UsageError
            If it cannot be read, or is none.
        """
        try:
            word, encoded, *_ = path.read_text(encoding="utf-8").split()
            raw = base64.b64decode(encoded, validate=True)
            if word != _WORD or len(raw) != 2 * _RAW_BYTES:
                raise ValueError(word)
            return cls(
                Ed25519PublicKey.from_public_bytes(raw[:_RAW_BYTES]),
                X25519PublicKey.from_public_bytes(raw[_RAW_BYTES:]),
            )
        except OSError as error:
            raise UsageError(
                f"The key {path} cannot be read: {reason_of(error)}.", _HINT
            ) from error
        except (ValueError, binascii.Error) as error:
            raise UsageError(f"{path} is not a lane's public key.", _HINT) from error


@dataclass(frozen=True)
class KeyPair:
    """One end's private keys."""

    signing: Ed25519PrivateKey
    sealing: X25519PrivateKey

    @classmethod
    def new(cls) -> Self:
        """Make keys."""
        return cls(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @property
    def public(self) -> PublicKeys:
        """What the other end needs."""
        return PublicKeys(self.signing.public_key(), self.sealing.public_key())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read this end's own file.

        Raises
        ------
        UsageError
            If it cannot be read, or is none, or others may read it.
        """
        try:
            encoded, others = path.read_bytes(), path.stat().st_mode & 0o077
            keys = [
                serialization.load_pem_private_key(pem, password=None)
                for pem in _PEM.findall(encoded)
            ]
        except OSError as error:
            raise UsageError(
                f"The key {path} cannot be read: {reason_of(error)}.", _HINT
            ) from error
        except (ValueError, TypeError, UnsupportedAlgorithm):
            keys = []
        match keys:
            case [Ed25519PrivateKey() as signing, X25519PrivateKey() as sealing]:
                if others:
                    raise UsageError(
                        f"The private key {path} can be read by other users.",
                        f"Keep it to yourself: chmod 600 {path}",
                    )
                return cls(signing, sealing)
        raise UsageError(f"{path} is not a lane's private key.", _HINT)

    def write(self, path: Path) -> None:
        """Keep the keys in a file, and beside it what the other end needs.

        Raises
        ------
        UsageError
            If there is a key already, also one that the other end gave, or it cannot be written.
        """
        public = path.with_name(f"{path.name}.pub")
        if public.exists() and not path.exists():
            raise UsageError(
                f"{public} exists, without its private key: somebody gave it, and a key is never"
                " overwritten.",
                "Choose another folder, or remove the key if nobody uses it.",
            )
        encoded = b"".join(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            for key in (self.signing, self.sealing)
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
            try:
                durable.write(path, encoded, mode=0o600)
                durable.write(public, f"{self.public.line(path.name)}\n".encode())
            except OSError:
                path.unlink(missing_ok=True)  # it would be in the way of the next attempt
                raise
        except FileExistsError as error:
            raise UsageError(
                f"{path} exists; a key is never overwritten.",
                "Choose another folder, or remove the key if nobody uses it.",
            ) from error
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {reason_of(error)}.") from error


@dataclass(frozen=True)
class Pairing:
    """What one end knows.

    Attributes
    ----------
    own : KeyPair
        This end's keys.
    other : PublicKeys
        Those of the other end.
    """

    own: KeyPair
    other: PublicKeys
