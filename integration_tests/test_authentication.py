"""SuperLinks with TLS that know their SuperNodes by keys registered beforehand."""

import ipaddress
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    COMMAND,
    Federation,
    alive,
    attached,
    descendants,
    finish,
    flower_v6,
    installed,
    run_on,
    superlink,
    wait_until,
    with_command_line,
)

# One that speaks gRPC, one that speaks HTTP.
RELEASES = ("1.32.1", "1.41.0")
COUNTED = {"train": {"1": [1, 1]}, "evaluate": {"1": [2, 2]}}


def make_certificate(folder: Path) -> None:
    """Make a certificate for this machine, which is its own authority: `cert.pem`, `key.pem`."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA384())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class SecureFlower(Flower):
    """Starts SuperLinks with TLS that let in only SuperNodes that they were told of."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        super().__init__(folder)
        self._certificates = certificates

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return a command line; the SuperLink's without `--insecure`."""
        if program == "flower-superlink":
            arguments = (
                *("--ssl-ca-certfile", str(self._certificates / "cert.pem")),
                *("--ssl-certfile", str(self._certificates / "cert.pem")),
                *("--ssl-keyfile", str(self._certificates / "key.pem")),
                "--enable-supernode-auth",
                *(each for each in arguments if each != "--insecure"),
            )
        return super().command(program, *arguments)

    def name_superlink(self, name: str, address: str, home: Path, app: Path) -> None:
        """Name it, with what its certificate is checked against."""
        super().name_superlink(name, address, home, app)
        config = home / "config.toml"
        trusted = json.dumps(str(self._certificates / "cert.pem"))
        text = config.read_text().replace("insecure = true", f"root-certificates = {trusted}")
        config.write_text(text)


@pytest.fixture(scope="module", params=RELEASES)
def secure(
    request: pytest.FixtureRequest, flower: Flower, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    """A SuperLink that knows the keys in the folder `known`, but not those in `unknown`."""
    folder = tmp_path_factory.mktemp(request.param)
    make_certificate(folder)
    found = flower if flower.release == request.param else installed(request.param)
    with superlink(SecureFlower(found.folder, folder), folder / "federation") as federation:
        for keys in ("known", "unknown"):
            made = flower_v6(
                *("keys", "2", "--output", str(folder / keys)),
                *("--flower-env", str(found.folder)),
            )
            assert made.returncode == 0, made.stderr
            assert made.stdout.splitlines() == [
                f"flwr supernode register {folder / keys / name}.pub SUPERLINK"
                for name in ("station-1", "station-2")
            ]
        for name in ("station-1", "station-2"):
            register(federation, folder / "known" / f"{name}.pub")
        yield federation


def register(federation: Federation, public_key: Path) -> None:
    """Run the command that `flower-v6 keys` prints."""
    home = federation.folder / f"registering-{public_key.stem}"
    home.mkdir()
    federation.flower.name_superlink("SUPERLINK", federation.control, home, home)
    registered = subprocess.run(
        federation.flower.command(*federation.flower.registration(public_key)),
        env=dict(federation.flower.environment(home)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert registered.returncode == 0, registered.stdout + registered.stderr


def options(federation: Federation, keys: str) -> tuple[str, ...]:
    folder = federation.folder.parent
    return (
        *("--root-certificates", str(folder / "cert.pem"), "--keys", str(folder / keys)),
        *("--flower-env", str(federation.flower.folder)),
    )


def node_ids(federation: Federation) -> list[str]:
    folder = federation.folder.parent / "known"
    return [(folder / f"{name}.node").read_text() for name in ("station-1", "station-2")]


def test_stations_with_registered_keys_work_and_come_back_as_the_nodes_that_they_were(
    secure: Federation,
) -> None:
    with attached(secure, *options(secure, "known")):
        (result,) = run_on([secure], "stateful", ".json", num_server_rounds=1)
        before = node_ids(secure)
    assert json.loads(result.read_text()) == COUNTED
    with attached(secure, *options(secure, "known")):
        assert node_ids(secure) == before
        command = f"{COMMAND} attach --superlink {secure.address}"
        (bridge,) = with_command_line(descendants(os.getpid()), command)
        os.kill(bridge, signal.SIGKILL)  # no goodbye: the SuperLink takes them for online
    with attached(secure, *options(secure, "known")):
        assert node_ids(secure) == before


@pytest.mark.parametrize(
    ("end", "reasons"),
    [
        (signal.SIGKILL, ("The bridge ended while station station-",)),
        # A SuperLink says so itself as long as the nodes are offline, whatever replies it has.
        (
            signal.SIGTERM,
            ("The bridge was stopped while station station-", "Error: Node Unavailable"),
        ),
    ],
    ids=["killed", "stopped"],
)
def test_messages_under_way_when_attach_ends_are_answered_though_it_starts_again_at_once(
    secure: Federation, tmp_path: Path, end: signal.Signals, reasons: tuple[str, ...]
) -> None:
    """Without an answer the ServerApp would wait twelve hours: the nodes are never offline."""
    result = tmp_path / "result.json"
    with attached(secure, *options(secure, "known")):
        submission = secure.submit(
            "faults",
            result=result,
            pid_dir=tmp_path,
            journal=tmp_path / "journal",
            hold="0-1 1-1",
            num_server_rounds=1,
        )
        wait_until(lambda: all((tmp_path / f"{i}-1").exists() for i in (0, 1)), "they train")
        command = f"{COMMAND} attach --superlink {secure.address}"
        (bridge,) = with_command_line(descendants(os.getpid()), command)
        os.kill(bridge, end)
        wait_until(lambda: not alive({bridge}), "the bridge has ended")
    with attached(secure, *options(secure, "known")):
        finish(submission)
    assert submission.exit_code == 0, submission.log_tail(40)
    (first,) = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for reply in first["replies"]] == [5, 5]
    assert all(reply["reason"].startswith(reasons) for reply in first["replies"])


def test_a_key_that_was_not_registered_is_refused_with_what_to_do(secure: Federation) -> None:
    ended = flower_v6("attach", "--superlink", secure.address, *options(secure, "unknown"))
    assert ended.returncode == 1
    assert "refuses the SuperNode with the key" in ended.stderr
    assert "unknown/station-1" in ended.stderr
    assert "flower-v6 keys" in ended.stderr


def test_without_a_key_a_station_is_refused(secure: Federation) -> None:
    trusted = options(secure, "known")[:2]
    ended = flower_v6("attach", "--superlink", secure.address, *trusted)
    assert ended.returncode == 1
    assert "RegisterNode" in ended.stderr


def test_a_superlink_with_another_certificate_is_refused(
    secure: Federation, tmp_path: Path
) -> None:
    make_certificate(tmp_path)
    ended = flower_v6(
        *("attach", "--superlink", secure.address),
        *("--root-certificates", str(tmp_path / "cert.pem")),
    )
    assert ended.returncode == 1
    assert "certificate verify failed" in ended.stderr


def test_a_superlink_with_tls_is_not_taken_for_one_without(secure: Federation) -> None:
    ended = flower_v6("attach", "--superlink", secure.address)
    assert ended.returncode == 1
    assert "--root-certificates" in ended.stderr
