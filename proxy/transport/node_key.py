"""The key by which a SuperLink knows a SuperNode.

Every Fleet call is signed, also on connections without TLS: the call's timestamp, by this key.
Source: flwr 1.15 to 1.41, `AuthenticateClientInterceptor` and `NodeAuthHttpInterceptor`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.errors import ClocksDiffer

# A SuperLink takes a timestamp from its own time -5 s to +305 s (flwr 1.15 to 1.41,
# SYSTEM_TIME_TOLERANCE and TIMESTAMP_TOLERANCE in flwr/common/constant.py). Dates in HTTP headers
# are whole seconds, and a busy server's are some seconds old; and to take a node that is not known
# for clocks that differ would be worse than the other way round.
_MAX_AHEAD_SECONDS = 10.0
_MAX_BEHIND_SECONDS = 304.0
CLOCKS_HINT = (
    "Set the clocks of both machines (NTP): a SuperLink refuses what was signed more than 5 s ahead"
    " of its clock, or 5 minutes behind it."
)


def clocks_differ(superlink: str, ahead: float) -> ClocksDiffer | None:
    """Return what to raise when a SuperLink refuses a signature; None if it is not the clocks.

    Parameters
    ----------
    superlink : str
        Its address.
    ahead : float
        By how many seconds our clock is ahead of the SuperLink's.
    """
    if -_MAX_BEHIND_SECONDS < ahead < _MAX_AHEAD_SECONDS:
        return None
    direction = "ahead of" if ahead > 0 else "behind"
    return ClocksDiffer(
        f"This machine's clock is {abs(ahead):.0f} s {direction} that of the SuperLink at"
        f" {superlink}, which therefore refuses all calls.",
        CLOCKS_HINT,
    )


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
