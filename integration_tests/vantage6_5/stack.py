"""HQ with two collaborations of the same three organizations, and their nodes."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration_tests.harness import free_ports, wait_until
from integration_tests.vantage6 import containers
from integration_tests.vantage6.containers import Container, DockerError
from integration_tests.vantage6.node import Settings
from integration_tests.vantage6.registration import Organization
from integration_tests.vantage6.stack import write_private_key, write_table
from integration_tests.vantage6.tables import write_digits
from integration_tests.vantage6_5.cluster import Cluster
from integration_tests.vantage6_5.hq import ADMINISTRATOR, HQ
from integration_tests.vantage6_5.keycloak import Keycloak, running_keycloak
from integration_tests.vantage6_5.kubernetes import running_kubernetes
from integration_tests.vantage6_5.node import Node
from integration_tests.vantage6_5.postgresql import PostgreSQL, running_postgresql
from integration_tests.vantage6_5.registration import (
    COLLABORATION_ADMIN,
    RESEARCHER,
    Account,
    Administrator,
)
from proxy.system.process import Workspace

_NAMES = ("North Hospital", "South Hospital", "West Clinic")


@dataclass(frozen=True)
class Collaboration:
    """A collaboration, and all that a researcher of its first organization needs for it.

    `nodes` has one for each organization, in the same order. `private_key` is a file, and None if
    the collaboration is not encrypted. The researcher may kill tasks, a colleague and a robot of
    the same organization may not.
    """

    url: str
    keycloak: Keycloak
    id: int
    name: str
    organizations: tuple[Organization, ...]
    nodes: tuple[Node, ...]
    researcher: Account
    colleague: Account
    robot: Account
    private_key: Path | None

    @property
    def login(self) -> dict[str, str]:
        """What the command needs of the robot, by the names of its variables."""
        return {
            "SERVER": self.url,
            "AUTH_SERVER": self.keycloak.realm.url,
            "USERNAME": self.robot.username,
            "PASSWORD": self.robot.secret,
        }

    def start(self, count: int = len(_NAMES)) -> None:
        """Start the first nodes, and wait until they take tasks."""
        for node in self.nodes[:count]:
            node.launch()
        for node in self.nodes[:count]:
            node.wait_until_online()

    def containers(self) -> list[Container]:
        """Return the algorithm containers of all nodes, ended ones too."""
        return [container for node in self.nodes for container in node.containers()]


@dataclass(frozen=True)
class Stack:
    """HQ that runs, and its collaborations, whose nodes do not run yet.

    `cluster` is where the nodes' pods run, and `keycloak` where everybody logs in; `postgresql` has
    HQ's database.
    """

    session: str
    folder: Path
    hq: HQ
    keycloak: Keycloak
    postgresql: PostgreSQL
    cluster: Cluster
    administrator: Administrator
    plain: Collaboration
    encrypted: Collaboration

    def build(self, folder: Path, name: str) -> str:
        """Build an image that is removed with the stack; returns what it is called."""
        image = containers.image_name(self.session, name)
        containers.build(folder, image)
        return image

    def official_client(
        self, collaboration: Collaboration, image: str, username: str, secret: str = ""
    ) -> dict[str, Any]:
        """Have vantage6's own client log in and ask for a task; see `official_client`."""
        key = ""
        if collaboration.private_key:
            key = "/tmp/organization.pem"  # noqa: S108
            self.hq.copy(collaboration.private_key, key)
        answer = self.hq.python(
            "official_client.py",
            *(self.hq.url, self.keycloak.realm.url, username, secret, str(collaboration.id)),
            *(key, image, str(collaboration.organizations[1].id)),
        )
        found: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return found


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start HQ; at the end nothing is left of it, of nodes, or of what they ran."""
    containers.remove_dead_sessions()
    containers.build_base_image()
    session = containers.new_session()
    with ExitStack() as ending:
        folder = ending.enter_context(Workspace()).path
        ending.callback(_remove, session)
        network = f"{session}-central"
        gateway = containers.internal_network(network)
        cluster = Cluster(session, network)
        admin_secret = secrets.token_urlsafe()
        keycloak = ending.enter_context(running_keycloak(admin_secret))
        kubernetes = ending.enter_context(running_kubernetes(cluster, folder / "account"))
        postgresql = ending.enter_context(running_postgresql(f"{session}-postgresql"))
        password = secrets.token_urlsafe()
        keycloak.realm.add_user(ADMINISTRATOR, password)
        count = len(_NAMES)
        hq_port, *ports = free_ports(1 + 2 * count)
        hq = HQ(f"{session}-hq", folder / "hq", hq_port, postgresql, keycloak, admin_secret)
        ending.callback(hq.stop)
        hq.start()

        administrator = Administrator(hq.url, keycloak, password)
        organizations = tuple(administrator.organization(name) for name in _NAMES)
        first = organizations[0]
        researcher = administrator.user("researcher", first, COLLABORATION_ADMIN)
        colleague = administrator.user("colleague", first, RESEARCHER)
        robot = administrator.robot("robot", first, RESEARCHER)

        def collaboration(name: str, ports: list[int], keys: list[Path] | None) -> Collaboration:
            number = administrator.collaboration(name, organizations, encrypted=keys is not None)
            nodes = []
            for index, organization in enumerate(organizations):
                node_name = f"{session}-{name}-{index + 1}"
                node_folder = folder / f"{name}-{index + 1}"
                node_folder.mkdir()
                databases = {
                    "default": write_table(node_folder, organization.name),
                    "digits": write_digits(node_folder / "digits.csv", index),
                }
                node = Node(
                    node_name,
                    organization,
                    hq,
                    kubernetes,
                    gateway,
                    administrator.node(node_name, organization, number),
                    keys[index] if keys else None,
                    node_folder,
                    ports[index],
                    Settings(databases),
                )
                nodes.append(node)
                ending.callback(node.stop)
            return Collaboration(
                hq.url,
                keycloak,
                number,
                name,
                organizations,
                tuple(nodes),
                researcher,
                colleague,
                robot,
                keys[0] if keys else None,
            )

        keys = [
            write_private_key(folder / f"organization-{index + 1}.pem") for index in range(count)
        ]
        plain = collaboration("plain", ports[:count], None)
        encrypted = collaboration("encrypted", ports[count:], keys)
        yield Stack(
            *(session, folder, hq, keycloak, postgresql, cluster),
            *(administrator, plain, encrypted),
        )


def _remove(session: str) -> None:
    """Remove all containers of a session; on a busy machine the last may need a while to end."""
    wait_until(lambda: _removed(session), "the containers have ended", interval=1.0)


def _removed(session: str) -> bool:
    with suppress(DockerError):
        containers.remove(session)
    return not containers.left_of(session)
