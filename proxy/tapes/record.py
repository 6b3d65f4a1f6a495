"""Recording: stands between real SuperNodes and a real SuperLink and writes a tape.

    SuperNode <- Fleet API -> Recorder <- Fleet API -> SuperLink
                                 |
                                 v
                               tape

Every call is handed on as it came, with its headers, which sign it; and so is what came of it.
Connections with TLS are not supported.
"""

import logging
from pathlib import Path
from typing import Protocol

from protos import tape_pb2
from proxy.errors import TapeError, UsageError, reason_of
from proxy.tapes.tape import Add, TapeWriter
from proxy.transport.connect import speaks_http

log = logging.getLogger(__name__)


class Recorder:
    """Hands on the calls of any number of SuperNodes to one SuperLink, until closed.

    Parameters
    ----------
    superlink : str
        The address (HOST:PORT) of the SuperLink's Fleet API.
    listen : str
        The address (HOST:PORT) that SuperNodes are given instead; port 0 for a free one.
    tape : Path
        Where to write the tape.
    about : str
        What is recorded, in words.
    for_us_only : bool
        Whether other users of this machine are refused; it must listen at 127.0.0.1 then.

    Attributes
    ----------
    address : str
        Where it listens.

    Raises
    ------
    Unreachable
        If no SuperLink answers: how its Fleet API is reached must be found out first.
    UsageError
        If it cannot listen there.
    TapeError
        If the tape cannot be written.
    """

    def __init__(
        self, superlink: str, listen: str, tape: Path, about: str, for_us_only: bool = False
    ) -> None:
        http = speaks_http(superlink)
        self._tape = TapeWriter(tape, "http" if http else "grpc", about)
        try:
            self._forwarder = _forwarder(http, superlink, listen, self._add, for_us_only)
        except (OSError, ValueError, OverflowError, RuntimeError) as error:
            self._tape.close()
            raise UsageError(
                f"The recorder cannot listen at {listen}: {reason_of(error)}.",
                "Name a free address of this machine as HOST:PORT.",
            ) from error
        self.address = self._forwarder.address

    def _add(self, call: tape_pb2.Call) -> None:
        try:
            self._tape.add(call)
        except TapeError as error:
            log.error("a call is missing on the tape: %s", error)

    def close(self) -> None:
        """Stop listening, and complete the tape."""
        self._forwarder.close()
        self._tape.close()


class _Forwarder(Protocol):
    """Listens, and hands on the calls that come."""

    address: str

    def close(self) -> None:
        """Stop listening."""
        ...


def _forwarder(http: bool, superlink: str, listen: str, add: Add, for_us_only: bool) -> _Forwarder:
    # gRPC takes 0.1 s to import.
    if http:
        from proxy.tapes.record_http import HttpForwarder  # noqa: PLC0415

        return HttpForwarder(superlink, listen, add, for_us_only)
    from proxy.tapes.record_grpc import GrpcForwarder  # noqa: PLC0415

    return GrpcForwarder(superlink, listen, add, for_us_only)
