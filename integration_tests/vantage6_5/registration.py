"""What HQ's administrator does once: organizations, collaborations, users, nodes."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from integration_tests.vantage6.registration import Organization
from integration_tests.vantage6_5.hq import ADMINISTRATOR
from integration_tests.vantage6_5.keycloak import TESTS_CLIENT, Keycloak

# The default roles of 5.0 (`hq/default_roles.py`). The first may create tasks and sessions, and not
# kill; the second may kill, too.
RESEARCHER = "Researcher"
COLLABORATION_ADMIN = "Collaboration Admin"
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Account:
    """Whoever logs in: a user of the tests' client of Keycloak by password, a robot by secret."""

    username: str
    secret: str
    robot: bool = False

    def token(self, keycloak: Keycloak) -> str:
        """Log in; returns the access token."""
        form = {"grant_type": "password", "client_id": TESTS_CLIENT, "username": self.username}
        form["password"] = self.secret
        if self.robot:
            form = {
                "grant_type": "client_credentials",
                "client_id": f"{self.username}-user-client",
                "client_secret": self.secret,
            }
        answer = requests.post(
            f"{keycloak.realm.issuer}/protocol/openid-connect/token",
            data=form,
            timeout=_TIMEOUT_SECONDS,
        )
        assert answer.ok, answer.text
        return str(answer.json()["access_token"])


class Administrator:
    """The user that HQ has from the start.

    Parameters
    ----------
    url : str
        HQ's API.
    keycloak : Keycloak
        Where to log in.
    password : str
        The user's.
    """

    def __init__(self, url: str, keycloak: Keycloak, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        token = Account(ADMINISTRATOR, password).token(keycloak)
        self._session.headers["Authorization"] = f"Bearer {token}"

    def organization(self, name: str) -> Organization:
        """Create an organization; its public key comes with its first node that has one."""
        address = {"address1": "", "address2": "", "zipcode": "", "country": "", "domain": ""}
        answer = self._post("organization", name=name, public_key="", **address)
        return Organization(answer["id"], name)

    def collaboration(
        self, name: str, organizations: Sequence[Organization], encrypted: bool
    ) -> int:
        """Create a collaboration; returns its id."""
        ids = [each.id for each in organizations]
        answer = self._post("collaboration", name=name, organization_ids=ids, encrypted=encrypted)
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
                f"{self._url}/{path}", json={"id": organization.id}, timeout=_TIMEOUT_SECONDS
            ).raise_for_status()

    def node(self, name: str, organization: Organization, collaboration: int) -> str:
        """Register an organization's node for a collaboration; returns its API key."""
        answer = self._post(
            "node", name=name, organization_id=organization.id, collaboration_id=collaboration
        )
        return str(answer["api_key"])

    def user(self, name: str, organization: Organization, role: str) -> Account:
        """Create a user with one of the default roles."""
        password = f"{secrets.token_urlsafe()}-aA1!"
        about = {"organization_id": organization.id, "roles": [self._role(role)]}
        self._post("user", username=name, password=password, **about)
        return Account(name, password)

    def robot(self, name: str, organization: Organization, role: str) -> Account:
        """Create a service account with one of the default roles."""
        about = {"organization_id": organization.id, "roles": [self._role(role)]}
        answer = self._post("user", username=name, is_service_account=True, **about)
        return Account(name, answer["client_secret"], robot=True)

    def _role(self, name: str) -> int:
        roles = self._session.get(
            f"{self._url}/role", params={"per_page": "100"}, timeout=_TIMEOUT_SECONDS
        )
        (number,) = (each["id"] for each in roles.json()["data"] if each["name"] == name)
        return int(number)

    def _post(self, path: str, **body: object) -> dict[str, Any]:
        response = self._session.post(f"{self._url}/{path}", json=body, timeout=_TIMEOUT_SECONDS)
        assert response.ok, f"POST {path}: {response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer
