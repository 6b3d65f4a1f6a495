"""What vantage6 does to a task's input and result before it stores them.

Base64, or in an encrypted collaboration AES-256 in counter mode under a key of its own, which is
encrypted with the receiving organization's RSA key. Within a container the node does this.
Source: vantage6 4.15, `vantage6/common/encryption.py`.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from proxy.errors import UsageError, Vantage6Error, reason_of
from proxy.vantage6.members import decoded, encoded

_KEY_BYTES, _IV_BYTES = 32, 16
_SEPARATOR = b"$"


class Encoding(Protocol):
    """How inputs and results are stored at the server."""

    def seal(self, pieces: Iterable[bytes], public_key: str) -> Iterator[bytes]:
        """Yield what the server stores, for the organization that has a public key."""
        ...

    def unseal(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what was sealed for us.

        Raises
        ------
        Vantage6Error, CarrierError
            If it was not, or is damaged.
        """
        ...


class Plain:
    """An unencrypted collaboration, or one whose encryption a node takes care of."""

    def seal(self, pieces: Iterable[bytes], public_key: str) -> Iterator[bytes]:  # noqa: ARG002
        """Yield base64."""
        return encoded(pieces)

    def unseal(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what the base64 stands for."""
        return decoded(pieces)


class Sealing:
    """An encrypted collaboration, seen by somebody who has no key: for writing only."""

    def seal(self, pieces: Iterable[bytes], public_key: str) -> Iterator[bytes]:
        """Yield the encrypted key, the initial counter and the encrypted pieces."""
        try:
            receiver = load_pem_public_key(b64decode(public_key))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Vantage6Error(
                "The server has no valid public key of the receiving organization.",
                "A node uploads its organization's public key when it starts for the first time.",
            ) from error
        if not isinstance(receiver, RSAPublicKey):
            raise Vantage6Error("The receiving organization's public key is not an RSA key.")
        key, counter = os.urandom(_KEY_BYTES), os.urandom(_IV_BYTES)
        encryptor = Cipher(AES(key), CTR(counter)).encryptor()
        for part in (receiver.encrypt(key, PKCS1v15()), counter):
            yield b64encode(part) + _SEPARATOR
        yield from encoded(map(encryptor.update, pieces))

    def unseal(self, pieces: Iterable[bytes]) -> Iterator[bytes]:  # noqa: ARG002
        """Refuse: there is no key."""
        raise Vantage6Error("A result is encrypted, and there is no key to read it.")


class Encrypted(Sealing):
    """An encrypted collaboration, seen from an organization.

    Parameters
    ----------
    private_key : Path
        The organization's private key, a PEM file without password.

    Raises
    ------
    UsageError
        If there is no such key.
    """

    def __init__(self, private_key: Path) -> None:
        try:
            key = load_pem_private_key(private_key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"The organization's private key {private_key} cannot be read: {reason_of(error)}."
            ) from error
        if not isinstance(key, RSAPrivateKey):
            raise UsageError(f"{private_key} is not an RSA key, as vantage6 needs.")
        self._key = key

    def reads_for(self, public_key: str) -> bool:
        """Whether this is the private half of a public key, as the server has it."""
        try:
            other = load_pem_public_key(b64decode(public_key))
        except (ValueError, UnsupportedAlgorithm):
            return False
        return self._key.public_key() == other

    def unseal(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the decrypted pieces.

        Under a wrong key of the same size, one time in some hundred, they are noise.
        """
        pieces = iter(pieces)
        start = b""
        while start.count(_SEPARATOR) < 2 and (piece := next(pieces, None)) is not None:
            start += piece
        try:
            sealed_key, counter, rest = start.split(_SEPARATOR, 2)
            key = self._key.decrypt(b64decode(sealed_key), PKCS1v15())
            # OpenSSL answers random bytes of any length where the key is the wrong one.
            if len(key) != _KEY_BYTES:
                raise ValueError("not a key of AES-256")
            decryptor = Cipher(AES(key), CTR(b64decode(counter))).decryptor()
        except ValueError as error:
            raise Vantage6Error(
                "A result cannot be decrypted: it was not encrypted for this private key.",
                "Use the private key of the organization that created the task.",
            ) from error
        yield from map(decryptor.update, decoded(chain([rest], pieces)))
