"""Connecting to a SuperLink of any release: it shows by itself what it speaks."""

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import requests

from proxy.errors import Unreachable, UsageError, reason_of
from proxy.transport.http import HttpTransport
from proxy.transport.identity import Identity
from proxy.transport.superlink import SuperLink, Transport

_REACH_SECONDS = 5.0
# On a busy machine a SuperLink may take its time; to be taken for one of another kind is worse.
_ANSWER_SECONDS = 60.0


def connect(
    address: str,
    root_certificates: Path | None = None,
    stations: str = "",
    identity: Identity | None = None,
) -> SuperLink:
    """Connect to the Fleet API at an address (HOST:PORT).

    Parameters
    ----------
    address : str
        Where it is.
    root_certificates : Path | None
        A file with the certificates (PEM) that the SuperLink's is checked against; None for a
        SuperLink without TLS.
    stations, identity
        As for `SuperLink`.

    Raises
    ------
    Unreachable
        If nobody listens there, nobody answers, or the certificate is not trusted.
    UsageError
        If the file with the certificates is of no use.
    """
    transport: Transport
    if speaks_http(address, root_certificates):
        transport = HttpTransport(address, root_certificates)
    else:
        # Takes 0.1 s to import, and releases from 1.40 on do not need it.
        from proxy.transport.grpc import GrpcTransport  # noqa: PLC0415

        transport = GrpcTransport(address, root_certificates)
    return SuperLink(transport, stations, identity)


def speaks_http(address: str, root_certificates: Path | None = None) -> bool:
    """Find out whether a Fleet API is served over HTTP; else it is over gRPC.

    Raises
    ------
    Unreachable, UsageError
        As `connect`.
    """
    _reach(address, root_certificates)
    scheme = "https" if root_certificates else "http"
    try:
        with requests.Session() as session:
            session.trust_env = False
            verify = str(root_certificates) if root_certificates else None
            # Is HTTP/1.1 understood? gRPC is HTTP/2.
            session.get(f"{scheme}://{address}/", timeout=_ANSWER_SECONDS, verify=verify)
    except requests.Timeout as error:
        raise Unreachable(
            f"The server at {address} does not answer.", "Check that it is a SuperLink."
        ) from error
    except requests.RequestException:
        return False
    return True


def _reach(address: str, root_certificates: Path | None) -> None:
    host, port = _parted(address)
    try:
        with socket.create_connection((host, port), _REACH_SECONDS) as connection:
            if root_certificates is not None:
                _check_certificate(connection, host, root_certificates)
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"No SuperLink answers at {address}: {reason_of(error)}.",
            "Is this the address of its Fleet API? Then check that it is running.",
        ) from error


def _parted(address: str) -> tuple[str, int]:
    """Return the host and the port of an address; an IPv6 address stands in brackets."""
    try:
        parts = urlsplit(f"//{address}")
        is_plain = parts.netloc == address and "@" not in address and len(address.split()) == 1
        if is_plain and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:  # of a port that is no number, or too large, or of brackets
        pass
    raise UsageError(
        f"{address!r} is no address of a SuperLink's Fleet API.",
        "Give HOST:PORT, such as localhost:9092 or [::1]:9092.",
    )


def _check_certificate(connection: socket.socket, host: str, root_certificates: Path) -> None:
    """Find out whether the SuperLink is who it says, before a transport says less clearly not."""
    try:
        trusted = ssl.create_default_context(cafile=root_certificates)
    except OSError as error:
        raise UsageError(
            f"The root certificates {root_certificates} cannot be used: {reason_of(error)}.",
            "Name the file that the SuperLink has as --ssl-ca-certfile.",
        ) from error
    trusted.set_alpn_protocols(["h2", "http/1.1"])
    trusted.wrap_socket(connection, server_hostname=host).close()
