"""The Fleet API over HTTP, as a SuperNode calls it: as releases from 1.40 on speak it.

Protobuf in, protobuf out; refusals are Flower's JSON errors. Source: flwr 1.41,
`flwr/supernode/node_auth_http_interceptor.py`, `flwr/superlink/routers/fleet/`,
`flwr/supercore/retry/http_retry_invoker.py`, `flwr/supercore/error/`.
"""

import logging
import time
from base64 import b64encode
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from proxy import strict_json
from proxy.errors import (
    FleetError,
    RunNotRunning,
    Unimplemented,
    UnknownNode,
    Unreachable,
)
from proxy.transport.http_listener import path_of
from proxy.transport.node_key import NodeKey, clocks_differ
from proxy.transport.sizes import largest_answer
from proxy.transport.transfer import MAX_CALLS

log = logging.getLogger(__name__)

Answer = Callable[[str, bytes], bytes]

# Connecting is quick or hopeless, and so is each block of a request; an answer may take long.
_TIMEOUT_SECONDS = (5.0, 60.0)
_BLOCK_BYTES = 64 << 10
_COME_BACK_LATER = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
# Besides the objects on their way: a heartbeat, and what `VirtualSuperNode` asks.
_OTHER_CALLS = 2
_PIECE_BYTES = 1 << 20


class _InBlocks(HTTPAdapter):
    """Sends requests in blocks: as a whole one would have to be sent within the time to connect."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, blocksize=_BLOCK_BYTES, **options)


class HttpTransport:
    """One virtual SuperNode's calls to a SuperLink; several threads may call at once.

    Parameters
    ----------
    superlink : str
        The address (HOST:PORT) of the SuperLink's Fleet API.
    root_certificates : Path | None
        A file with the certificates (PEM) that the SuperLink's is checked against; None for a
        SuperLink without TLS.
    """

    def __init__(self, superlink: str, root_certificates: Path | None = None) -> None:
        self.superlink = superlink
        self._url = f"https://{superlink}" if root_certificates else f"http://{superlink}"
        self._key = NodeKey.new()
        self._session = requests.Session()
        # Whatever proxies the environment names: a SuperNode would reach its SuperLink directly.
        self._session.trust_env = False
        # A connection is kept for each of the calls that there are at once.
        self._session.mount(self._url, _InBlocks(pool_maxsize=MAX_CALLS + _OTHER_CALLS))
        if root_certificates is not None:
            self._session.verify = str(root_certificates)

    def use_key(self, key: NodeKey) -> None:
        """Sign the calls to come with a key."""
        self._key = key

    def call(self, method: str, request: bytes) -> bytes:
        """Call a Fleet method.

        Raises
        ------
        Unreachable
            If nobody answers, or the SuperLink asks to come back later.
        ClocksDiffer
            If the SuperLink refuses the call because our clock is not its own.
        RunNotRunning, UnknownNode, FleetError
            If the SuperLink refuses the call.
        """
        signed, sent = self._key.sign_now(), time.time()
        try:
            response = self._session.post(
                self._url + path_of(method),
                data=BytesIO(request) if request else b"",
                headers={
                    "content-type": "application/protobuf",
                    "accept": "application/protobuf",
                    "accept-encoding": "identity",
                    "flwr-public-key": b64encode(signed.public_key).decode(),
                    "flwr-timestamp": signed.timestamp,
                    "flwr-signature": b64encode(signed.signature).decode(),
                },
                timeout=_TIMEOUT_SECONDS,
                stream=True,
            )
            with response:
                content = self._content(method, response)
        except requests.RequestException as error:
            raise Unreachable(
                f"No SuperLink with a Fleet API over HTTP answers at {self.superlink}"
                f" ({type(error).__name__}).",
                "Is it running there, with flwr 1.40 or newer? If it has TLS, name its"
                " certificates (--root-certificates).",
            ) from error
        if response.status_code == HTTPStatus.OK:
            return content
        raise _refusal(method, self.superlink, response, content, sent)

    def _content(self, method: str, response: requests.Response) -> bytes:
        """Return an answer's body, if it is no larger than such an answer can be."""
        answered = f"The SuperLink at {self.superlink} answered {method}"
        # A megabyte that is compressed twice is a terabyte.
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FleetError(f"{answered} with compressed data, which was not asked for.")
        content, at_most = BytesIO(), largest_answer(method)
        for piece in response.iter_content(_PIECE_BYTES):
            content.write(piece)
            if content.tell() > at_most:
                raise FleetError(f"{answered} with more than {at_most:,} bytes.")
        return content.getvalue()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _refusal(
    method: str, superlink: str, response: requests.Response, content: bytes, sent: float
) -> FleetError:
    text = f"The SuperLink at {superlink} answered {method} with HTTP {response.status_code}"
    try:
        text += f": {strict_json.loads(content)['detail']}"
    except (ValueError, KeyError, TypeError):
        if response.status_code not in _COME_BACK_LATER:
            return FleetError(f"{text}.", "Check that it is a SuperLink of flwr 1.40 or newer.")
    if response.status_code == HTTPStatus.FORBIDDEN:
        return RunNotRunning(text)
    if response.status_code == HTTPStatus.NOT_FOUND:
        return Unimplemented(text)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        return clocks_differ(superlink, _seconds_ahead(response, sent)) or UnknownNode(text)
    if response.status_code in _COME_BACK_LATER:
        return Unreachable(text)
    return FleetError(text)


def _seconds_ahead(response: requests.Response, sent: float) -> float:
    """Return by how much our clock is at least ahead of the SuperLink's, or behind it.

    A call that takes long is no sign of a wrong clock.
    """
    try:
        theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return 0.0
    return max(sent - theirs, min(time.time() - theirs, 0.0))
