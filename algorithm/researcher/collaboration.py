"""A collaboration as its user sees it: the organizations, their nodes, the key to its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from algorithm.paths import expanded
from algorithm.researcher.login import Settings
from proxy.errors import NotFound, UsageError
from proxy.vantage6.encryption import Encrypted
from proxy.vantage6.server import Organization, Server


@dataclass(frozen=True)
class Collaboration:
    """A collaboration, as the server knows it."""

    id: int
    name: str
    encrypted: bool

    @classmethod
    def of(cls, members: dict[str, Any]) -> Self:
        """Return what the server's JSON says."""
        return cls(int(members["id"]), str(members["name"]), bool(members["encrypted"]))


@dataclass(frozen=True)
class Researcher:
    """A user who is logged in, in a collaboration.

    Attributes
    ----------
    server : Server
        Encrypts and decrypts if the collaboration is encrypted.
    collaboration : Collaboration
        The collaboration.
    organizations : Sequence[Organization]
        All that are in it.
    own : Organization
        The user's.
    """

    server: Server
    collaboration: Collaboration
    organizations: Sequence[Organization]
    own: Organization

    def named(self, names: Sequence[str]) -> list[Organization]:
        """Return organizations by their names or ids, each once.

        Raises
        ------
        UsageError
            If there is no such organization in the collaboration.
        """
        chosen: list[Organization] = []
        for name in names:
            which = [
                organization
                for organization in self.organizations
                if name in (organization.name, str(organization.id))
            ]
            if not which:
                raise UsageError(
                    f"There is no organization {name!r} in the collaboration"
                    f" {self.collaboration.name!r}.",
                    f"There are: {_listed(self.organizations)}.",
                )
            chosen += [organization for organization in which if organization not in chosen]
        return chosen

    def offline(self, organizations: Sequence[Organization]) -> list[Organization]:
        """Return those of the organizations whose node is not online.

        Raises
        ------
        UsageError
            If one has no node, so that no task can be created for it.
        """
        nodes = self.server.nodes(self.collaboration.id)
        without = [
            organization.name for organization in organizations if organization.id not in nodes
        ]
        if without:
            raise UsageError(
                f"No node is registered in the collaboration {self.collaboration.name!r} for"
                f" {', '.join(without)}.",
                "Choose organizations that have a node with --organizations, or register a node.",
            )
        return [organization for organization in organizations if not nodes[organization.id]]


def enter(settings: Settings) -> Researcher:
    """Log in and enter the collaboration that the settings name.

    Raises
    ------
    UsageError
        If it does not exist, or is encrypted and the organization's key is missing or wrong.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    server = settings.log_in()
    answer = server.all("collaboration")
    with server.understanding():
        known = [Collaboration.of(members) for members in answer]
    wanted = settings.collaboration
    collaboration = next(
        (candidate for candidate in known if wanted in (candidate.name, str(candidate.id))), None
    )
    if collaboration is None:
        raise UsageError(
            f"There is no collaboration {wanted!r} for {settings.user} at {server.url}."
            if wanted
            else "No collaboration is given.",
            f"Name one with --collaboration. There are: {_listed(known) or 'none'}.",
        )
    return _entered(server, settings, collaboration)


def enter_by_task(settings: Settings, number: int) -> tuple[Researcher, dict[str, Any]]:
    """Log in and enter the collaboration of a task; returns the task, too.

    Raises
    ------
    UsageError
        As `enter`, or if the task does not exist.
    ServerUnreachable, Vantage6Error
        If the server does not answer or refuses.
    """
    server = settings.log_in()
    task = existing_task(server, number)
    with server.understanding():
        collaboration_id = int(task["collaboration"]["id"])
    answer = server.get(f"collaboration/{collaboration_id}")
    with server.understanding():
        collaboration = Collaboration.of(answer)
    return _entered(server, settings, collaboration), task


def existing_task(server: Server, number: int) -> dict[str, Any]:
    """Return a task.

    Raises
    ------
    UsageError
        If it does not exist.
    """
    try:
        task: dict[str, Any] = server.get(f"task/{number}")
    except NotFound as error:
        raise UsageError(
            f"There is no task {number} at {server.url}.",
            "`flower-v6 submit` prints the task's number; the web interface shows it, too.",
        ) from error
    return task


def _entered(server: Server, settings: Settings, collaboration: Collaboration) -> Researcher:
    organizations = server.organizations(collaboration.id)
    number = server.own_organization()
    own = next((organization for organization in organizations if organization.id == number), None)
    if own is None:
        raise UsageError(
            f"The organization of {settings.user} is not in the collaboration"
            f" {collaboration.name!r}.",
            f"There are: {_listed(organizations)}.",
        )
    if collaboration.encrypted:
        server.encoding = _encryption(settings, collaboration, own)
    return Researcher(server, collaboration, organizations, own)


def _encryption(settings: Settings, collaboration: Collaboration, own: Organization) -> Encrypted:
    """Return what reads the results of tasks that the user's organization creates."""
    if not settings.organization_key:
        raise UsageError(
            f"The collaboration {collaboration.name!r} is encrypted, and no key to read its results"
            " is given.",
            f"Give the private key of {own.name} with --organization-key.",
        )
    encryption = Encrypted(expanded(settings.organization_key))
    if not encryption.reads_for(own.public_key):
        raise UsageError(
            f"The key {settings.organization_key} is not the private key of {own.name}: it does not"
            " fit the public key that the server has.",
            "Use the private key that the organization's node has.",
        )
    return encryption


def _listed(choices: Sequence[Organization] | Sequence[Collaboration]) -> str:
    return ", ".join(f"{choice.name} ({choice.id})" for choice in choices)
