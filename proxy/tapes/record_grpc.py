"""Forwards the Fleet API over gRPC, and notes each call; see `proxy.tapes.record`."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from protos import tape_pb2
from proxy.system.guard import CallersCheck
from proxy.tapes.record_http import TIMEOUT_SECONDS
from proxy.tapes.tape import Add

# Calls at once: of many SuperNodes, each with some objects on their way.
_WORKERS = 64
_SERVICE = "/flwr.proto.Fleet/"
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.so_reuseport", 0),
)


class GrpcForwarder(grpc.GenericRpcHandler):
    """Forwards gRPC calls."""

    def __init__(self, superlink: str, listen: str, add: Add, for_us_only: bool) -> None:
        self._add = add
        self._channel = grpc.insecure_channel(superlink, options=_OPTIONS)
        check = CallersCheck(grpc.StatusCode.PERMISSION_DENIED)
        self._server = grpc.server(
            ThreadPoolExecutor(_WORKERS),
            options=_OPTIONS,
            interceptors=(check,) if for_us_only else (),  # type: ignore[arg-type]  # it has all
        )
        self._server.add_generic_rpc_handlers((self,))
        host, _, _ = listen.rpartition(":")
        check.port = self._server.add_insecure_port(listen)
        self.address = f"{host}:{check.port}"
        self._server.start()

    def service(self, call: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Return what serves a method; all methods of the Fleet API take and give one message."""
        name = call.method

        def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
            recorded = tape_pb2.Call(method=name.removeprefix(_SERVICE), request=request)
            handed_on = tuple(
                (key, value)
                for key, value in context.invocation_metadata()
                if key != "user-agent"  # gRPC makes it anew
            )
            invoke: Any = self._channel.unary_unary(name)
            try:
                answer, details = invoke.with_call(request, TIMEOUT_SECONDS, handed_on)
            except grpc.RpcError as error:
                recorded.refusal.status = error.code().name
                recorded.refusal.detail = error.details() or ""
                self._note(recorded)
                context.set_trailing_metadata(_pairs(error.trailing_metadata()))
                context.abort(error.code(), error.details() or "")
            recorded.answer = answer
            self._note(recorded)
            context.send_initial_metadata(_pairs(details.initial_metadata()))
            context.set_trailing_metadata(_pairs(details.trailing_metadata()))
            return bytes(answer)

        return grpc.unary_unary_rpc_method_handler(serve)

    def _note(self, call: tape_pb2.Call) -> None:
        call.at = time.time()
        self._add(call)

    def close(self) -> None:
        """Stop listening."""
        self._server.stop(grace=None).wait()
        self._channel.close()


def _pairs(metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in metadata or ())
