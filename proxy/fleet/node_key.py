"""The key by which a SuperLink knows a SuperNode.

Every Fleet call is signed, also on connections without TLS: the call's timestamp, by this key.
Source: flwr 1.15 to 1.41, `AuthenticateClientInterceptor` and `NodeAuthHttpInterceptor`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Signed:
    """What goes with a call.

    Attributes
    ----------
    public_key : bytes
        PEM, SubjectPublicKeyInfo.
    timestamp : str
        ISO 8601, in UTC.
    signature : bytes
        ECDSA-SHA256 of the timestamp, DER.
    """

    public_key: bytes
    timestamp: str
    signature: bytes


class NodeKey:
    """A private key, and its public half.

    Parameters
    ----------
    private : EllipticCurvePrivateKey
        Flower uses the curve SECP384R1, and takes any of NIST's.

    Attributes
    ----------
    public_bytes : bytes
        PEM, SubjectPublicKeyInfo.
    """

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self.private = private
        self.public_bytes = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def new(cls) -> Self:
        """Make a key."""
        return cls(ec.generate_private_key(ec.SECP384R1()))

    def sign_now(self) -> Signed:
        """Sign the present time."""
        timestamp = datetime.now(UTC).isoformat()
        signature = self.private.sign(timestamp.encode(), ec.ECDSA(hashes.SHA256()))
        return Signed(self.public_bytes, timestamp, signature)
