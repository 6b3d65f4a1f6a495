"""What lanes stand on in the tests: an SSH server of its own, and resident stations."""

import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from integration_tests.harness import listens, wait_until
from proxy.carriers.kafka import KafkaMailbox
from proxy.system.process import Process

# Names an Apache Kafka to run the tests on: HOST:PORT, or HOST:PORT?FILE with a client's settings.
KAFKA_VARIABLE = "FLOWER_V6_TEST_KAFKA"
_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
_SSHD_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


@dataclass
class SshServer:
    """An SSH server on a free port, and a home folder whose user it lets in.

    Attributes
    ----------
    home : Path
        As `HOME` of whoever calls it: it has the key, and knows the server's.
    url : str
        A folder there, for `folder:`.
    """

    folder: Path
    port: int
    home: Path
    url: str
    process: Process

    def stop(self) -> None:
        """End it, and with it all connections."""
        self.process.stop()

    def start(self) -> None:
        """Start it, again on the same port."""
        self.process = Process(
            [_SSHD, "-D", "-e", "-f", str(self.folder / "config")],
            {"PATH": os.environ["PATH"]},
            self.folder / "log",
        )
        wait_until(lambda: listens(f"127.0.0.1:{self.port}"), "the SSH server listens")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def needed(program: str, package: str) -> None:
    """Skip a test that lacks a program; where all must run, fail."""
    if not Path(program).exists():
        reason = f"{program} is missing: install {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """An SSH server until the end."""
    needed(_SSHD, "Debian's openssh-server")
    folder.mkdir()
    port, home = free_port(), folder / "home"
    (home / ".ssh").mkdir(parents=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user", home / ".ssh/id_ed25519")
    host_key = (folder / "host.pub").read_text()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "config").write_text(_SSHD_CONFIG.format(port=port, folder=folder))
    user = os.environ.get("USER") or "root"
    url = f"sftp://{user}@127.0.0.1:{port}{folder}/share"
    server = SshServer(folder, port, home, url, process=None)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Broker:
    """A Kafka broker, and the topics that an operator makes.

    Attributes
    ----------
    address : str
        Where it is: HOST:PORT.
    settings : str
        The part of a lane's URL that names the client's settings; empty if there are none.
    """

    address: str
    settings: str = ""

    def lane(self, *stations: str) -> str:
        """Make topics for stations; returns the lane's URL."""
        lane = f"kafka://{self.address}/test-{uuid.uuid4().hex[:8]}{self.settings}"
        client = KafkaMailbox(lane.removeprefix("kafka:"), "any", at_station=False)._client()
        admin = AdminClient(client)
        prefix = urlsplit(lane).path.strip("/")
        topics = [
            NewTopic(f"{prefix}.{station}.{box}", 1, 1)
            for station in stations
            for box in ("to-station", "to-central")
        ]
        for made in admin.create_topics(topics).values():
            made.result(30.0)
        return lane


@contextmanager
def kafka_broker(folder: Path) -> Iterator[Broker]:
    """The broker that KAFKA_VARIABLE names, with a file of settings; else one in a process."""
    if named := os.environ.get(KAFKA_VARIABLE):
        address, _, properties = named.partition("?")
        yield Broker(address, f"?properties={properties}" if properties else "")
        return
    program = str(Path(sys.executable).with_name("noida-db"))
    needed(program, "pip package noida-db")
    folder.mkdir(parents=True)
    port = free_port()
    process = Process(
        [program, "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", str(folder)],
        {"PATH": os.environ["PATH"]},
        folder / "log",
    )
    try:
        wait_until(lambda: listens(f"127.0.0.1:{port}"), "the broker listens")
        yield Broker(f"127.0.0.1:{port}")
    finally:
        process.stop()


def environment(**changes: str) -> Mapping[str, str]:
    """Return the environment of this process, with changes."""
    return {**os.environ, **changes}
