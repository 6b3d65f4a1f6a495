"""What a server's administrator does once: organizations, collaborations, users, nodes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

# The only default role whose users may both create and kill tasks, but for "Root".
# Source: vantage6 4.15, `vantage6/server/default_roles.py`.
COLLABORATION_ADMIN = "Collaboration Admin"
RESEARCHER = "Researcher"


@dataclass(frozen=True)
class Organization:
    """An organization, as the server knows it."""

    id: int
    name: str


class Administrator:
    """The user that a server has from the start.

    Parameters
    ----------
    url : str
        The server's API.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        token = self._post("token/user", username="root", password="root")["access_token"]  # noqa: S106
        self._session.headers["Authorization"] = f"Bearer {token}"

    def organization(self, name: str) -> Organization:
        """Create an organization; its public key comes with its first node that has one."""
        return Organization(self._post("organization", name=name)["id"], name)

    def collaboration(
        self, name: str, organizations: Sequence[Organization], encrypted: bool
    ) -> int:
        """Create a collaboration; returns its id."""
        ids = [each.id for each in organizations]
        answer = self._post(
            "collaboration", name=name, organization_ids=ids, encrypted=int(encrypted)
        )
        return int(answer["id"])

    @contextmanager
    def member(self, collaboration: int, name: str) -> Iterator[Organization]:
        """Have a further organization in a collaboration for a while, without a node."""
        organization = self.organization(name)
        path = f"collaboration/{collaboration}/organization"
        self._post(path, id=organization.id)
        try:
            yield organization
        finally:
            self._session.delete(
                f"{self._url}/{path}", json={"id": organization.id}, timeout=60
            ).raise_for_status()

    def node(self, name: str, organization: Organization, collaboration: int) -> str:
        """Register an organization's node for a collaboration; returns its API key."""
        answer = self._post(
            "node", name=name, organization_id=organization.id, collaboration_id=collaboration
        )
        return str(answer["api_key"])

    def user(
        self,
        name: str,
        password: str,
        organization: Organization,
        role: str = COLLABORATION_ADMIN,
    ) -> None:
        """Create a user of an organization, with one of vantage6's default roles."""
        roles = self._session.get(f"{self._url}/role", params={"per_page": "100"}, timeout=60)
        (number,) = (each["id"] for each in roles.json()["data"] if each["name"] == role)
        self._post(
            "user",
            username=name,
            password=password,
            email=f"{name}@flower-v6.invalid",
            firstname="",
            lastname="",
            organization_id=organization.id,
            roles=[number],
        )

    def _post(self, path: str, **body: object) -> dict[str, Any]:
        response = self._session.post(f"{self._url}/{path}", json=body, timeout=60)
        assert response.ok, f"POST {path}: {response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer
