"""What lanes stand on in the tests: an SSH server of its own, and resident stations."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration_tests.harness import listens, wait_until
from proxy.system.process import Process

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
        reason = f"{program} is missing: install Debian's {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """An SSH server until the end."""
    needed(_SSHD, "openssh-server")
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


def environment(**changes: str) -> Mapping[str, str]:
    """Return the environment of this process, with changes."""
    return {**os.environ, **changes}
