"""Data in vantage6 4.x: a task asks for databases by their labels."""

from collections.abc import Callable, Sequence

from proxy.errors import UsageError
from proxy.vantage6.data import Place, Prepared, Wanted
from proxy.vantage6.server import Organization, Server


def prepare(
    server: Server,  # noqa: ARG001
    place: Place,  # noqa: ARG001
    stations: Sequence[Organization],  # noqa: ARG001
    wanted: Wanted,
    tell: Callable[[str], None],  # noqa: ARG001
) -> Prepared:
    """Return the data: see `Generation.prepare`."""
    if wanted.session or wanted.dataframes:
        raise UsageError(
            "This is a vantage6 4 server, which has no sessions and no dataframes.",
            "Name databases of the stations: --database LABEL.",
        )
    members = {"databases": [{"label": label} for label in wanted.labels]}
    return Prepared(members, members, {})
