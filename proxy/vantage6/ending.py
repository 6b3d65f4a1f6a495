"""Tells stations that a job is over: they end its host, and remove what only the job needed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from proxy.calls import EndCall
from proxy.vantage6 import payload
from proxy.vantage6.server import Organization, Server


def name_of_end(station: Organization) -> str:
    """Return what the task is called that tells a station."""
    return f"{EndCall.method}: {station.name}"


def tell_end(
    server: Server, members: Mapping[str, Any], job: str, stations: Iterable[Organization]
) -> list[int]:
    """Create a task at each station; returns the tasks' numbers.

    Parameters
    ----------
    server : Server
        As a user sees it.
    members : Mapping[str, Any]
        What the tasks have in common, as vantage6 names it.
    job : str
        The job's name.
    stations : Iterable[Organization]
        Who is told.

    Raises
    ------
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    end = EndCall(job)
    with TemporaryDirectory() as folder:
        path = Path(folder, "input")
        payload.write(path, server.arguments(end.method, end.task()["kwargs"]))
        return [
            server.create_task({**members, "name": name_of_end(station)}, end.method, station, path)
            for station in stations
        ]
