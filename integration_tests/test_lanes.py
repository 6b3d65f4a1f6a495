"""Resident stations: what their lanes stand on keeps its promise, and apps end as natively."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.lanes import SshServer, ssh_server
from proxy.carriers.folder import FolderMailbox
from proxy.carriers.mailbox import MailboxUnreachable
from proxy.carriers.tests.mailboxes import Made, MailboxContract, letter, taken


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture
def sftp(sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Mailboxes in an empty folder of the SSH server."""
    monkeypatch.setenv("HOME", str(sshd.home))
    shutil.rmtree(sshd.folder / "share", ignore_errors=True)
    return lambda at_station: FolderMailbox(sshd.url, "north", at_station)


class TestSftp(MailboxContract):
    @pytest.fixture
    def made(self, sftp: Made) -> Made:
        return sftp


def test_a_server_that_was_away_is_used_again(sshd: SshServer, sftp: Made, tmp_path: Path) -> None:
    central, station = sftp(False), sftp(True)
    central.send(letter(tmp_path, b"before"))
    assert taken(station, tmp_path) == b"before"
    sshd.stop()
    with pytest.raises(MailboxUnreachable):
        central.send(letter(tmp_path, b"meanwhile"))
    with pytest.raises(MailboxUnreachable):
        station.receive(tmp_path / "got", 5.0)
    sshd.start()
    central.send(letter(tmp_path, b"after"))
    assert taken(station, tmp_path) == b"after"


def test_a_server_whose_key_is_not_known_gets_nothing(
    sshd: SshServer, sftp: Made, tmp_path: Path
) -> None:
    known = sshd.home / ".ssh/known_hosts"
    with_key = known.read_text()
    known.write_text("")
    try:
        with pytest.raises(MailboxUnreachable, match="HostKeyNotVerifiable"):
            sftp(False).send(letter(tmp_path, b"secret"))
    finally:
        known.write_text(with_key)
    assert not (sshd.folder / "share").exists()
