"""Serves metrics to Prometheus, over HTTP; who connects is not asked who they are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import start_http_server

from algorithm.monitoring.metrics import Metrics
from proxy.errors import UsageError, reason_of

_ADDRESS = re.compile(r"([^:\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", re.ASCII)
_HINT = "Name a free address of this machine as HOST:PORT: 127.0.0.1:9464."


@contextmanager
def serving(address: str, folder: Path | None) -> Iterator[tuple[Metrics, str]]:
    """Serve metrics while the body runs.

    Parameters
    ----------
    address : str
        Where (HOST:PORT); port 0 for a free one.
    folder : Path | None
        The run's folder, whose disk is told of; None if there is none.

    Yields
    ------
    tuple[Metrics, str]
        The metrics, and their URL.

    Raises
    ------
    UsageError
        If nothing can be served there.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise UsageError(f"Metrics cannot be served at {address!r}: that is no address.", _HINT)
    host, port = parts.groups()
    metrics = Metrics(folder)
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), metrics.registry)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(
            f"Metrics cannot be served at {address}: {reason_of(error)}.", _HINT
        ) from error
    try:
        yield metrics, f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
