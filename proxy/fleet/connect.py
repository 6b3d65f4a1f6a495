"""Connecting to a SuperLink of any release: it shows by itself what it speaks."""

import socket

import requests

from proxy.errors import Unreachable
from proxy.fleet.grpc import GrpcTransport
from proxy.fleet.http import HttpTransport
from proxy.fleet.superlink import SuperLink

_TIMEOUT_SECONDS = 5.0


def connect(address: str) -> SuperLink:
    """Connect to the Fleet API at an address (HOST:PORT).

    Raises
    ------
    Unreachable
        If nobody listens there.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _TIMEOUT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise Unreachable(
            f"No SuperLink answers at {address}: {error}.",
            "Name its Fleet API as HOST:PORT. Is it running there?",
        ) from error
    return SuperLink(HttpTransport(address) if _speaks_http(address) else GrpcTransport(address))


def _speaks_http(address: str) -> bool:
    """Find out whether HTTP/1.1 is understood; gRPC is HTTP/2."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.get(f"http://{address}/", timeout=_TIMEOUT_SECONDS)
    except requests.RequestException:
        return False
    return True
