"""TLS 1.3 between the two ends of a lane, by the keys that letters are signed with.

No certificates have to be made: each end makes one when it starts, for a key that lives as long as
its process, and signs it with its lane's key. The other end trusts what that key signed, and
nothing else. Host names and dates in certificates say nothing: lanes are called by any address, and
clocks may differ.
"""

import ssl
import tempfile
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from proxy.lanes.letters.keys import KeyPair, PublicKeys

_ALWAYS = datetime(2000, 1, 1), datetime(9999, 12, 31)


def context(own: KeyPair, at_station: bool) -> ssl.SSLContext:
    """Return what one end speaks TLS with; nobody is trusted yet.

    Parameters
    ----------
    own : KeyPair
        This end's keys.
    at_station : bool
        Whether it is the station's, which calls.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if at_station else ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    # Whom `trust` names is trusted by the key, whoever signed that certificate.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = _certificate("end", _name(own.public), key.public_key(), own.signing, None)
    with tempfile.NamedTemporaryFile() as file:  # the standard library takes files only
        file.write(private + certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        made.load_cert_chain(file.name)
    return made


def trust(made: ssl.SSLContext, other: PublicKeys) -> None:
    """Let an end in that has a key."""
    signing = Ed25519PrivateKey.generate()
    # Length 0: what it signs is an end, and never somebody who signs in turn.
    anchor = _certificate(_name(other), "anchor", other.signing, signing, 0)
    made.load_verify_locations(cadata=anchor.public_bytes(serialization.Encoding.DER))


def signed_by(certificate: bytes, other: PublicKeys) -> bool:
    """Return whether an end's certificate (DER) is signed with a key."""
    shown = x509.load_der_x509_certificate(certificate)
    try:
        other.signing.verify(shown.signature, shown.tbs_certificate_bytes)
    except InvalidSignature:
        return False
    return True


def _certificate(
    subject: str,
    issuer: str,
    key: Ed25519PublicKey,
    signing: Ed25519PrivateKey,
    path_length: int | None,
) -> x509.Certificate:
    constraints = x509.BasicConstraints(ca=path_length is not None, path_length=path_length)
    return (
        x509.CertificateBuilder()
        .subject_name(_common_name(subject))
        .issuer_name(_common_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_ALWAYS[0])
        .not_valid_after(_ALWAYS[1])
        .add_extension(constraints, critical=True)
        .sign(signing, None)
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(keys: PublicKeys) -> str:
    return keys.digest.hex()
