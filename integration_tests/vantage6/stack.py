"""A server with two collaborations of the same three organizations, and their nodes."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integration_tests.harness import free_ports
from integration_tests.vantage6 import containers
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.node import Node, Settings
from integration_tests.vantage6.registration import Administrator, Organization
from integration_tests.vantage6.server import Server
from integration_tests.vantage6.tables import write_digits
from integration_tests.vantage6_5.postgresql import running_postgresql
from proxy.system.process import Workspace

_NAMES = ("North Hospital", "South Hospital", "West Clinic")
_USERNAME = "researcher"


@dataclass(frozen=True)
class Collaboration:
    """A collaboration, and all that a researcher of its first organization needs for it.

    `nodes` has one for each organization, in the same order. `private_key` is a file, and None if
    the collaboration is not encrypted.
    """

    url: str
    id: int
    name: str
    organizations: tuple[Organization, ...]
    nodes: tuple[Node, ...]
    username: str
    password: str
    private_key: Path | None

    @property
    def login(self) -> dict[str, str]:
        """What the command needs of the researcher, by the names of its variables."""
        return {"SERVER": self.url, "USERNAME": self.username, "PASSWORD": self.password}

    def start(self) -> None:
        """Start all nodes, and wait until they take tasks."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_online()

    def containers(self) -> list[Container]:
        """Return the algorithm containers of all nodes, ended ones too."""
        return [container for node in self.nodes for container in node.containers()]


@dataclass(frozen=True)
class Stack:
    """A server that runs, and its collaborations, whose nodes do not run yet."""

    session: str
    folder: Path
    server: Server
    plain: Collaboration
    encrypted: Collaboration

    def build(self, folder: Path, name: str) -> str:
        """Build an image that is removed with the stack; returns what it is called."""
        image = containers.image_name(self.session, name)
        containers.build(folder, image)
        return image


@contextmanager
def running_stack(on_postgresql: bool = False) -> Iterator[Stack]:
    """Start a server; at the end nothing is left of it, of nodes, or of what they ran.

    Its database is SQLite's, as vantage6 has it by default, or PostgreSQL's.
    """
    containers.remove_dead_sessions()
    containers.build_base_image()
    session = containers.new_session()
    with ExitStack() as ending:
        folder = ending.enter_context(Workspace()).path
        ending.callback(containers.remove, session)
        server_port, *node_ports = free_ports(1 + 2 * len(_NAMES))
        database = None
        if on_postgresql:
            postgresql = ending.enter_context(running_postgresql(f"{session}-postgresql"))
            database = postgresql.create("server")
        server = Server(_made(folder / "server"), server_port, database)
        ending.callback(server.stop)
        server.start()

        administrator = Administrator(server.url)
        organizations = tuple(administrator.organization(name) for name in _NAMES)
        password = f"{secrets.token_urlsafe()}-aA1!"
        administrator.user(_USERNAME, password, organizations[0])

        def collaboration(name: str, ports: list[int], keys: list[Path] | None) -> Collaboration:
            number = administrator.collaboration(name, organizations, encrypted=keys is not None)
            nodes = []
            for index, organization in enumerate(organizations):
                node_name = f"{session}-{name}-{index + 1}"
                node_folder = _made(folder / f"{name}-{index + 1}")
                nodes.append(
                    Node(
                        node_name,
                        organization,
                        server,
                        number,
                        administrator.node(node_name, organization, number),
                        keys[index] if keys else None,
                        node_folder,
                        ports[index],
                        Settings(
                            {
                                "default": write_table(node_folder, organization.name),
                                "digits": write_digits(node_folder / "digits.csv", index),
                            }
                        ),
                    )
                )
                ending.callback(nodes[-1].stop)
            return Collaboration(
                server.url,
                number,
                name,
                organizations,
                tuple(nodes),
                _USERNAME,
                password,
                keys[0] if keys else None,
            )

        count = len(_NAMES)
        keys = [
            write_private_key(folder / f"organization-{index + 1}.pem") for index in range(count)
        ]
        yield Stack(
            session,
            folder,
            server,
            collaboration("plain", node_ports[:count], None),
            collaboration("encrypted", node_ports[count:], keys),
        )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def write_table(folder: Path, organization: str) -> Path:
    """Write a table that says whose it is."""
    path = folder / "default.csv"
    path.write_text(
        "organization,number\n" + "".join(f"{organization},{number}\n" for number in range(10))
    )
    return path


def write_private_key(path: Path) -> Path:
    """Write a key as `v6 node create-private-key` does."""
    key = generate_private_key(public_exponent=65537, key_size=4096)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return path
