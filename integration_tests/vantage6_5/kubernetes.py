"""A stand-in for Kubernetes: as much of its API as a node of vantage6 5.0.3 calls.

Those are 13 calls: GET and POST of namespaces; POST, GET, list, watch and DELETE of pods; the log
of a pod; POST, GET, list and DELETE of jobs; POST and DELETE of secrets. `cluster` says what comes
of them.

It does not: check tokens or fields; know versions of a thing that is watched (a watch begins with
all that there is), patches, events, pages, field selectors, or any other kind of thing.
"""

import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integration_tests.vantage6_5.cluster import KINDS, Cluster, Thing
from integration_tests.vantage6_5.serving import JsonHandler, serving

_ADDRESS = "127.0.0.1"
_PATH = re.compile(
    r"/(?:api/v1|apis/batch/v1)/namespaces(?:/(?P<namespace>[^/]+)"
    r"(?:/(?P<kind>pods|jobs|secrets)(?:/(?P<name>[^/]+)(?P<log>/log)?)?)?)?"
)
_WATCH_SECONDS = 300.0
_LOOK_SECONDS = 0.2


class Kubernetes(ThreadingHTTPServer):
    """The server; `cluster` may be changed while it runs.

    Parameters
    ----------
    cluster : Cluster
        What it serves.
    account : Path
        A new folder for what a pod finds of its service account: certificate, token, namespace.
    """

    def __init__(self, cluster: Cluster, account: Path) -> None:
        super().__init__((_ADDRESS, 0), _Handler)
        self.cluster = cluster
        self.account = account
        account.mkdir()
        certificate, key = account / "ca.crt", account.with_name(f"{account.name}.key")
        _write_certificate(certificate, key)
        (account / "token").write_text("any")
        (account / "namespace").write_text("vantage6")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def environment(self) -> dict[str, str]:
        """How a pod finds it."""
        host, port = self.server_address[:2]
        return {"KUBERNETES_SERVICE_HOST": str(host), "KUBERNETES_SERVICE_PORT": str(port)}


@contextmanager
def running_kubernetes(cluster: Cluster, account: Path) -> Iterator[Kubernetes]:
    """Have one for a while."""
    kubernetes = Kubernetes(cluster, account)
    with serving(kubernetes):
        yield kubernetes


class _Handler(JsonHandler):
    server: Kubernetes

    def respond(self, path: str, query: dict[str, str], body: bytes) -> None:
        asked = _PATH.fullmatch(path)
        if asked is None:
            self._refuse(404, "NotFound")
            return
        namespace, kind, name, log = asked.groups()
        thing = json.loads(body or b"{}")
        if kind is None:
            self._namespace(namespace, thing)
        elif self.command == "POST":
            created = self.server.cluster.create(kind, namespace, thing)
            self.answer(201, thing) if created else self._refuse(409, "AlreadyExists")
        elif name is None:
            self._list(kind, namespace, query)
        else:
            self._one(kind, namespace, name, query, log is not None, thing)

    def _namespace(self, name: str | None, thing: Thing) -> None:
        cluster = self.server.cluster
        if self.command == "POST":
            name = thing["metadata"]["name"]
            cluster.namespaces.add(name)
        if name in cluster.namespaces:
            self.answer(200, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        else:
            self._refuse(404, "NotFound")

    def _list(self, kind: str, namespace: str, query: dict[str, str]) -> None:
        cluster, selector = self.server.cluster, query.get("labelSelector", "")
        if query.get("watch", "").lower() == "true":
            self._watch(kind, namespace, selector, query)
            return
        version, singular = KINDS[kind]
        answer = {
            "apiVersion": version,
            "kind": f"{singular}List",
            "metadata": {"resourceVersion": str(cluster.version)},
            "items": cluster.selected(kind, namespace, selector),
        }
        self.answer(200, answer)

    def _one(
        self, kind: str, namespace: str, name: str, query: dict[str, str], log: bool, body: Thing
    ) -> None:
        cluster = self.server.cluster
        thing = cluster.things[kind].get((namespace, name))
        if thing is None:
            self._refuse(404, "NotFound")
        elif log:
            self._log(thing, "follow" in query)
        elif self.command == "DELETE":
            grace = query.get("gracePeriodSeconds", body.get("gracePeriodSeconds"))
            cluster.delete(kind, namespace, name, None if grace is None else int(grace))
            self.answer(200, thing)
        else:
            self.answer(200, thing)

    def _watch(self, kind: str, namespace: str, selector: str, query: dict[str, str]) -> None:
        cluster = self.server.cluster
        until = time.monotonic() + float(query.get("timeoutSeconds", _WATCH_SECONDS))
        shown: dict[str, str] = {}
        self._begin("application/json")
        while time.monotonic() < until:
            for thing in cluster.selected(kind, namespace, selector):
                uid, version = thing["metadata"]["uid"], thing["metadata"]["resourceVersion"]
                if shown.get(uid) != version:
                    event = {"type": "MODIFIED" if uid in shown else "ADDED", "object": thing}
                    shown[uid] = version
                    self._chunk(json.dumps(event).encode() + b"\n")
            with cluster.changed:
                cluster.changed.wait(_LOOK_SECONDS)
        self._chunk(b"")

    def _log(self, pod: Thing, follow: bool) -> None:
        name = self.server.cluster.container(pod)
        command = ["docker", "logs", *(["--follow"] if follow else []), name]
        self._begin("text/plain")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            while data := process.stdout.read1(65536):  # type: ignore[attr-defined]
                self._chunk(data)
        self._chunk(b"")

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _refuse(self, status: int, reason: str) -> None:
        answer = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "code": status,
        }
        self.answer(status, answer)


def _write_certificate(certificate: Path, key_file: Path) -> None:
    """Write a certificate that its clients trust as it is, with what Python 3.13 wants of one."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now, public = datetime.now(UTC), key.public_key()
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(_ADDRESS))]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
