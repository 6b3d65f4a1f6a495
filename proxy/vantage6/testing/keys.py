"""The key pairs of the organizations."""

from base64 import b64encode
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from proxy.vantage6.encryption import Encrypted

_keys: dict[int, rsa.RSAPrivateKey] = {}


def private_key(organization: int) -> bytes:
    """Return an organization's private key, as it stands in a file."""
    pem = PrivateFormat.TraditionalOpenSSL
    return _key(organization).private_bytes(Encoding.PEM, pem, NoEncryption())


def public_key(organization: int) -> str:
    """Return an organization's public key, as the server has it."""
    pem = PublicFormat.SubjectPublicKeyInfo
    return b64encode(_key(organization).public_key().public_bytes(Encoding.PEM, pem)).decode()


def sealed(content: bytes, organization: int) -> str:
    """Return what a server stores that an organization may read."""
    return b"".join(_encryption(organization).seal([content], public_key(organization))).decode()


def unsealed(stored: str, organization: int) -> bytes:
    """Return what an organization reads."""
    return b"".join(_encryption(organization).unseal([stored.encode()]))


def _key(organization: int) -> rsa.RSAPrivateKey:
    # Making one takes its time, so it is the same for all servers.
    if organization not in _keys:
        _keys[organization] = rsa.generate_private_key(65537, 2048)
    return _keys[organization]


@cache
def _encryption(organization: int) -> Encrypted:
    with TemporaryDirectory() as folder:
        path = Path(folder, "private_key.pem")
        path.write_bytes(private_key(organization))
        return Encrypted(path)
