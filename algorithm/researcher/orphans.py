"""Tells the stations of a run that it is over, where its central function ended without doing so.

In vantage6 5 a host has no way to ask, and copies of databases are there until somebody says that
they are not needed. What the kernel or the cluster kills says no farewell, nor does a central that
refuses its run, and vantage6 does nothing about the tasks that were created.
"""

from contextlib import suppress
from typing import Any

from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import existing_task
from proxy.calls import HostCall, job_of
from proxy.errors import NotPermitted, Vantage6Error
from proxy.vantage6.encryption import Plain, Sealing
from proxy.vantage6.ending import tell_end
from proxy.vantage6.server import Organization, Server, TaskStatus
from proxy.vantage6.v5.sessions import holders

_HOST = f"{HostCall.method}: "


def end_run(server: Server, number: int, screen: Screen) -> bool:
    """Tell the stations where a central task that ended left hosts, or copies of databases.

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
            f" at its idle limit, or with `flower-v6 kill {number}`, which also has copies of"
            " databases removed."
        )
        return False
    if stations:
        screen.line(
            f"flower-v6 | task {number} left hosts or copies of databases behind:"
            f" {', '.join(station.name for station in stations)} are told that it is over"
        )
    return bool(stations)


def _told(server: Server, number: int) -> list[Organization]:
    """Create a task for each station that has something left; returns the stations."""
    task = existing_task(server, number)
    subtasks = server.all("task", parent_id=number)
    with server.understanding():
        hosts = {
            str(subtask["name"]).removeprefix(_HOST)
            for subtask in subtasks
            if str(subtask["name"]).startswith(_HOST) and not TaskStatus(subtask["status"]).ended
        }
        collaboration, session = int(task["collaboration"]["id"]), int(task["session"]["id"])
    organizations, copies = server.organizations(collaboration), list[Organization]()
    if server.method_of(task) == "central":
        with suppress(NotPermitted):  # it is another user's session
            copies = holders(server, session, organizations, number)
    stations = [
        organization
        for organization in organizations
        if organization.name in hosts or organization in copies
    ]
    if not stations:
        return []
    encrypted = server.get(f"collaboration/{collaboration}")["encrypted"]
    if encrypted and isinstance(server.encoding, Plain):
        server.encoding = Sealing()
    with server.understanding():
        members: dict[str, Any] = {
            "image": str(task["image"]),
            "collaboration_id": collaboration,
            "session_id": session,
            "description": f"The run of task {number} is over",
        }
        if store := task.get("algorithm_store"):
            # A node that goes by a store refuses what is of none.
            members |= server.naming_store(int(store["id"]))
    tell_end(server, members, job_of(number), stations)
    return stations
