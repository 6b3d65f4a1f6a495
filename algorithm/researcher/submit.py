"""Starts a Flower app at the organizations of a vantage6 collaboration: one central task."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import Researcher
from proxy.calls import Mode
from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.generations import generation_of
from proxy.vantage6 import payload
from proxy.vantage6.data import Place, Wanted
from proxy.vantage6.stores import has_image, stores_of

# `TaskInputSchema` in vantage6 4.15, `vantage6/server/resource/common/input_schema.py`.
_MAX_DESCRIPTION = 1024
_METHOD = "central"


@dataclass(frozen=True)
class Submission:
    """What to run where.

    Attributes
    ----------
    image : str
        The algorithm image with the app.
    organization : str
        Name or id of the organization whose node runs the central function; empty for the user's.
    organizations : Sequence[str]
        Names or ids of those whose nodes are stations; empty for all of the collaboration.
    arguments : Mapping[str, Any]
        Further arguments of the central function (`algorithm.functions.arguments`).
    wanted : Wanted
        The data that the stations' ClientApps are to find.
    name : str
        What the task is called; empty for what the image is called.
    """

    image: str
    organization: str
    organizations: Sequence[str]
    arguments: Mapping[str, Any]
    wanted: Wanted
    name: str = ""


def submit(researcher: Researcher, submission: Submission, screen: Screen) -> int:
    """Create the central task.

    Returns
    -------
    int
        The task's id.

    Raises
    ------
    UsageError
        If an organization does not exist, or has no node.
    ServerUnreachable
        If it is not known whether there is a task now.
    Vantage6Error
        If the server refuses.
    """
    central = researcher.own
    if submission.organization:
        [central] = researcher.named([submission.organization])
    stations = researcher.named(submission.organizations) or researcher.organizations
    for organization in researcher.offline([*{central, *stations}]):
        screen.line(
            f"flower-v6 | warning: the node of {organization.name} is offline; its tasks stay"
            " pending until it is online"
        )
    server, store = researcher.server, _store(researcher, submission.image, screen)
    place = Place(researcher.collaboration.id, submission.image, store)
    prepare = generation_of(server.platform).prepare
    data = prepare(
        server, place, stations, submission.wanted, lambda text: screen.status(_line(text))
    )
    screen.status("")
    with ExitStack() as unless_created, TemporaryDirectory() as folder:
        unless_created.callback(data.discard)
        kwargs = {**submission.arguments, **data.arguments}
        if submission.organizations:
            kwargs["organizations"] = [station.id for station in stations]
        names = ", ".join(station.name for station in stations)
        task = {
            "name": submission.name or _name_of(submission.image),
            "description": _description(submission.arguments, names),
            "image": submission.image,
            "collaboration_id": researcher.collaboration.id,
            **data.central,
            **store,
        }
        path = Path(folder, "input")
        payload.write(path, server.arguments(_METHOD, kwargs))
        try:
            number = server.create_task(task, _METHOD, central, path)
        except ServerUnreachable as error:
            raise ServerUnreachable(
                f"The task may have been created or not. {error.message}",
                "Look for the task at the server before you submit again.",
            ) from error
        unless_created.pop_all()
    return number


def _name_of(image: str) -> str:
    """Return what a task is called: "digits 1.0.0" for "registry.example.org/me/digits:1.0.0".

    The web interface cuts it at 30 characters, which a registry's name may take alone.
    """
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return f"{name} {tag}".rstrip()


def _description(arguments: Mapping[str, Any], names: str) -> str:
    who = "ClientApps" if arguments.get("mode") == Mode.DIRECT else "SuperNodes"
    return f"A Flower app, with {who} at {names}"[:_MAX_DESCRIPTION]


def _store(researcher: Researcher, image: str, screen: Screen) -> dict[str, Any]:
    """Return the members of a task that name the algorithm store of its image, if one has it.

    The web interface shows tables and a chart only for such a task, and a node may allow only such
    an image. Without it the task runs nevertheless.
    """
    server = researcher.server
    for store in stores_of(server, researcher.collaboration.id):
        try:
            if has_image(store, server, image):
                return server.naming_store(store.id)
        except Vantage6Error as error:
            screen.line(f"flower-v6 | warning: {error.message} The task does not name the store.")
    return {}


def _line(text: str) -> str:
    return f"flower-v6 | {text}"
