"""Tells the hosts of a run that it is over, where its central function ended without doing so.

In vantage6 5 a host has no way to ask. What the kernel or the cluster kills says no farewell, and
vantage6 does nothing about the tasks that it had created.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import existing_task
from proxy.calls import EndCall, HostCall, job_of
from proxy.errors import Vantage6Error
from proxy.vantage6 import payload
from proxy.vantage6.encryption import Plain, Sealing
from proxy.vantage6.server import Organization, Server, TaskStatus

_HOST = f"{HostCall.method}: "


def end_hosts(server: Server, number: int, screen: Screen) -> bool:
    """Tell the hosts of a central task that ended.

    Parameters
    ----------
    server : Server
        As a user sees it.
    number : int
        The central task's id.
    screen : Screen
        Is told who was told, and who could not be.

    Returns
    -------
    bool
        Whether there was one to tell.
    """
    if not server.platform.user.tells_end:
        return False
    try:
        stations = _told(server, number)
    except Vantage6Error as error:
        screen.line(
            f"flower-v6 | warning: {error.message} What runs at the stations for task {number} ends"
            f" at its idle limit, or with `flower-v6 kill {number}`."
        )
        return False
    if stations:
        screen.line(
            f"flower-v6 | task {number} left hosts behind: {', '.join(stations)} are told that it"
            " is over"
        )
    return bool(stations)


def _told(server: Server, number: int) -> list[str]:
    """Create a task for each station that has a host; returns the stations' names."""
    subtasks = server.all("task", parent_id=number)
    with server.understanding():
        hosts = {
            str(each["name"]).removeprefix(_HOST)
            for each in subtasks
            if str(each["name"]).startswith(_HOST) and not TaskStatus(each["status"]).ended
        }
    if not hosts:
        return []
    task = existing_task(server, number)
    with server.understanding():
        collaboration, session = int(task["collaboration"]["id"]), int(task["session"]["id"])
        encrypted = server.get(f"collaboration/{collaboration}")["encrypted"]
        members = {
            "image": str(task["image"]),
            "collaboration_id": collaboration,
            "session_id": session,
            "description": f"The run of task {number} is over",
        }
    if encrypted and isinstance(server.encoding, Plain):
        server.encoding = Sealing()
    stations = [each for each in server.organizations(collaboration) if each.name in hosts]
    for station in stations:
        _tell(server, {**members, "name": f"end: {station.name}"}, number, station)
    return [each.name for each in stations]


def _tell(server: Server, members: dict[str, object], number: int, station: Organization) -> None:
    end = EndCall(job_of(number))
    with TemporaryDirectory() as folder:
        path = Path(folder, "input")
        payload.write(path, server.arguments(end.method, end.task()["kwargs"]))
        server.create_task(members, end.method, station, path)
