"""Calling the Fleet API over HTTP, as releases from 1.40 on speak it: protobuf in, protobuf out.

Every call is signed, also on connections without TLS: the header's timestamp, by the node's key.
Source: flwr 1.41, `flwr/supernode/node_auth_http_interceptor.py`,
`flwr/superlink/routers/fleet/node_auth.py`, `flwr/supercore/retry/http_retry_invoker.py`.
"""

from base64 import b64encode
from datetime import UTC, datetime
from http import HTTPStatus

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.errors import FleetError, RunNotRunning, UnknownNode, Unreachable
from proxy.fleet.releases import NEWEST

# Connecting is quick or hopeless; an answer may take long when a large object is on its way.
_TIMEOUT_SECONDS = (5.0, 60.0)
_COME_BACK_LATER = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


class NodeKey:
    """The key by which a SuperLink knows a SuperNode."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP384R1())
        self.public_bytes = self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        """Return the ECDSA-SHA256 signature (DER) of `data`."""
        return self._private.sign(data, ec.ECDSA(hashes.SHA256()))


class HttpTransport:
    """One virtual SuperNode's calls to a SuperLink; several threads may call at once."""

    def __init__(self, superlink: str) -> None:
        self.superlink = superlink
        self._key = NodeKey()
        self._session = requests.Session()
        # Whatever proxies the environment names: a SuperNode would reach its SuperLink directly.
        self._session.trust_env = False

    def renew_key(self) -> bytes:
        """Make a new key for the calls to come; returns its public half, as PEM."""
        self._key = NodeKey()
        return self._key.public_bytes

    def call(self, method: str, request: bytes) -> bytes:
        """Call a Fleet method.

        Raises
        ------
        Unreachable
            If nobody answers, or the SuperLink asks to come back later.
        RunNotRunning, UnknownNode, FleetError
            If the SuperLink refuses the call.
        """
        timestamp, key = datetime.now(UTC).isoformat(), self._key
        try:
            response = self._session.post(
                f"http://{self.superlink}{NEWEST.paths[method]}",
                data=request,
                headers={
                    "content-type": "application/protobuf",
                    "accept": "application/protobuf",
                    "flwr-public-key": b64encode(key.public_bytes).decode(),
                    "flwr-timestamp": timestamp,
                    "flwr-signature": b64encode(key.sign(timestamp.encode())).decode(),
                },
                timeout=_TIMEOUT_SECONDS,
            )
        except requests.RequestException as error:
            raise Unreachable(
                f"No SuperLink with a Fleet API over HTTP answers at {self.superlink}"
                f" ({type(error).__name__}).",
                "Is it running there, with flwr 1.40 or newer, and without TLS?",
            ) from error
        if response.status_code == HTTPStatus.OK:
            return response.content
        raise _refusal(method, self.superlink, response)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _refusal(method: str, superlink: str, response: requests.Response) -> FleetError:
    text = f"The SuperLink at {superlink} answered {method} with HTTP {response.status_code}"
    try:
        text += f": {response.json()['detail']}"
    except (requests.JSONDecodeError, KeyError, TypeError):
        if response.status_code not in _COME_BACK_LATER:
            return FleetError(f"{text}.", "Is that a SuperLink, of flwr 1.40 or newer?")
    if response.status_code == HTTPStatus.FORBIDDEN:
        return RunNotRunning(text)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        return UnknownNode(text)
    if response.status_code in _COME_BACK_LATER:
        return Unreachable(text)
    return FleetError(text)
