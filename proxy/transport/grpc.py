"""The Fleet API over gRPC, from both ends: as releases before 1.40 speak it.

Source: flwr 1.15 to 1.39, `flwr/client/grpc_rere_client/` and
`flwr/server/superlink/fleet/grpc_rere/`.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from proxy.errors import (
    BridgeError,
    ClocksDiffer,
    FleetError,
    RunNotRunning,
    Unimplemented,
    UnknownNode,
    Unreachable,
)
from proxy.fleet.inline import MAX_MESSAGE_BYTES
from proxy.system.guard import CallersCheck
from proxy.transport.node_key import CLOCKS_HINT, NodeKey
from proxy.transport.sizes import LARGEST, LARGEST_OTHER

log = logging.getLogger(__name__)

Answer = Callable[[str, bytes], bytes]

_SERVICE = "/flwr.proto.Fleet/"
_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Whatever proxies the environment names: a SuperNode would reach its SuperLink directly.
    ("grpc.enable_http_proxy", 0),
    # A port is ours alone.
    ("grpc.so_reuseport", 0),
)
# How large each answer of a SuperLink may be.
_ANSWERS = {
    "methodConfig": [
        {"name": [{}], "maxResponseMessageBytes": LARGEST_OTHER},
        *(
            {
                "name": [{"service": "flwr.proto.Fleet", "method": method}],
                "maxResponseMessageBytes": largest,
            }
            for method, largest in LARGEST.items()
        ),
    ]
}
_CLIENT_OPTIONS = (*_OPTIONS, ("grpc.service_config", json.dumps(_ANSWERS)))
# A call has this time, and more for what it brings; a line may be this slow. How large an object is
# that is pulled nobody knows: Flower's chunks have 20 MB (flwr 1.22).
_TIMEOUT_SECONDS = 60.0
_BYTES_PER_SECOND = 100_000
_TIMEOUTS = {"PullObject": 300.0, "GetFab": 300.0}
# A SuperNode holds one call open and has some objects on their way.
_WORKERS = 16
_REFUSALS: dict[grpc.StatusCode, type[FleetError]] = {
    grpc.StatusCode.UNAVAILABLE: Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unreachable,
    grpc.StatusCode.PERMISSION_DENIED: RunNotRunning,
    grpc.StatusCode.UNAUTHENTICATED: UnknownNode,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
}


class GrpcTransport:
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
        self._key = NodeKey.new()
        self._hints: dict[type[FleetError], str] = {ClocksDiffer: CLOCKS_HINT}
        if root_certificates is None:
            self._hints[Unreachable] = "If it has TLS, name its certificates (--root-certificates)."
            self._channel = grpc.insecure_channel(superlink, options=_CLIENT_OPTIONS)
        else:
            trusted = grpc.ssl_channel_credentials(root_certificates.read_bytes())
            self._channel = grpc.secure_channel(superlink, trusted, options=_CLIENT_OPTIONS)

    def use_key(self, key: NodeKey) -> None:
        """Sign the calls to come with a key."""
        self._key = key

    def call(self, method: str, request: bytes) -> bytes:
        """Call a Fleet method.

        Raises
        ------
        Unreachable
            If nobody answers, or the SuperLink asks to come back later.
        RunNotRunning, UnknownNode, Unimplemented, FleetError
            If the SuperLink refuses the call.
        """
        signed = self._key.sign_now()
        invoke: Callable[..., bytes] = self._channel.unary_unary(_SERVICE + method)
        try:
            return invoke(
                request,
                timeout=_TIMEOUTS.get(method, _TIMEOUT_SECONDS) + len(request) / _BYTES_PER_SECOND,
                metadata=(
                    ("flwr-public-key-bin", signed.public_key),
                    ("flwr-timestamp", signed.timestamp),
                    ("flwr-signature-bin", signed.signature),
                ),
            )
        except grpc.RpcError as error:
            kind = _REFUSALS.get(error.code(), FleetError)
            # "Invalid timestamp", as all releases say: by how much, none does.
            if kind is UnknownNode and "timestamp" in (error.details() or "").lower():
                kind = ClocksDiffer
            raise kind(
                f"The SuperLink at {self.superlink} answered {method} with gRPC"
                f" {error.code().name}: {error.details()}",
                self._hints.get(kind, ""),
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


class GrpcListener:
    """Listens on a free port of the loopback interface, in threads of its own, for our user only.

    Parameters
    ----------
    answer : Callable[[str, bytes], bytes]
        Answers a call: the method and the request.
    """

    def __init__(self, answer: Answer) -> None:
        check = CallersCheck(grpc.StatusCode.PERMISSION_DENIED)
        self._server = grpc.server(
            ThreadPoolExecutor(_WORKERS),
            options=_OPTIONS,
            interceptors=(check,),  # type: ignore[arg-type]  # it has what gRPC asks of one
        )
        check.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.add_generic_rpc_handlers((_Handler(answer),))
        self.address = f"127.0.0.1:{check.port}"
        self._server.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(grace=None).wait()


class _Handler(grpc.GenericRpcHandler):
    """Hands on the calls of every Fleet method, as bytes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def service(
        self, call: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """Return what serves a method."""
        if not call.method.startswith(_SERVICE):
            return None
        method = call.method.removeprefix(_SERVICE)

        def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return self._answer(method, request)
            except RunNotRunning as error:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, error.message)
            except Unimplemented as error:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, error.message)
            except FleetError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            except BridgeError as error:
                log.error("%s failed: %s", method, error)
                context.abort(grpc.StatusCode.INTERNAL, error.message)

        return grpc.unary_unary_rpc_method_handler(serve)
