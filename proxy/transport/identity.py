"""SuperNodes that a SuperLink was told of beforehand: their keys on disk, and their node ids.

A folder holds for each SuperNode `NAME`, its private key, `NAME.pub`, its public key for
registration, both in OpenSSH's format as Flower's own commands read them (flwr 1.23 to 1.41,
`flwr/cli/supernode/register.py`), `NAME.node`, the node id that it last had and how it got that,
`NAME.message`, the message that it has under way, and `NAME.lock`, which is locked while it is in
use. `NAME` is the station's name, or where that makes no good file name, one that is made from it
(`key_paths`).
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.errors import UsageError
from proxy.system import durable
from proxy.system.locks import try_lock
from proxy.transport.node_key import NodeKey

# Names of stations that are good names of files, on every system and beside `NAME.pub`.
# What is kept beside a key, under its name and one of these.
_SUFFIXES = (".pub", ".node", ".message", ".lock")
_SAFE = re.compile(r"\w[\w .+@()'&,-]*(?<![ .])")
_LONGEST_BYTES = 200
_NODE = re.compile(rb"(\d{1,20})(?: (CreateNode|RegisterNode))?")


class Identity:
    """One such SuperNode, which nobody else on this machine is until it is closed.

    Parameters
    ----------
    path : Path
        Its private key.
    joins : bool
        Whether it may become a SuperNode of a SuperLink that was not told of it.

    Attributes
    ----------
    key : NodeKey
        The key.
    node_id : int
        The node id that it last had; 0 if it had none.
    joining : str
        The method by which it got that; see `proxy.fleet.releases`. Empty if that is not known.

    Raises
    ------
    UsageError
        If there is no such key, or somebody uses it.
    """

    def __init__(self, path: Path, joins: bool = False) -> None:
        self.path = path
        self.joins = joins
        self._node_file = path.with_name(f"{path.name}.node")
        self._message_file = path.with_name(f"{path.name}.message")
        try:
            self.key = NodeKey(_read_private(path))
            lock = try_lock(path.with_name(f"{path.name}.lock"))
        except OSError as error:
            raise UsageError(
                f"The key {error.filename} cannot be used: {error.strerror}.",
                "`flower-v6 keys` makes keys.",
            ) from error
        if lock is None:
            raise UsageError(
                f"The key {path} is in use by another flower-v6.",
                "Stop the other one, or use other keys.",
            )
        self._lock = lock
        kept = _NODE.fullmatch(_read_or_nothing(self._node_file))
        # Without its node id it can still be activated, once the SuperLink takes it for offline.
        node_id = int(kept[1]) if kept else 0
        self.node_id = node_id if node_id < 1 << 64 else 0
        self.joining = (kept[2] or b"").decode() if kept else ""

    def remember(self, node_id: int, joining: str = "") -> None:
        """Keep the node id that it has now, and the method by which it got that."""
        self.node_id, self.joining = node_id, joining
        durable.write(self._node_file, f"{node_id} {joining}".strip().encode())

    def take(self, key: NodeKey) -> None:
        """Have another key from now on."""
        self.key = key
        _write(self.path, key)

    def keep_message(self, pulled: bytes) -> None:
        """Keep the message that it has under way: the SuperLink's answer to PullMessages."""
        durable.write(self._message_file, pulled)

    def kept_message(self) -> bytes:
        """Return the message that was under way when it was last in use; empty if there is none."""
        return _read_or_nothing(self._message_file)

    def forget_message(self) -> None:
        """Keep no message any more."""
        self._message_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let others use it."""
        self._lock.close()


def key_paths(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return where the private keys of stations are, or would be made.

    A name such as `../x`, one of 300 characters, or one that differs from another key's by case
    only, becomes a name with a hash: not every file system tells `north` from `North`.

    Parameters
    ----------
    folder : Path
        The folder of the keys, which need not exist.
    names : Sequence[str]
        The stations' names.
    """
    files = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    taken = {file.casefold(): file for file in files}
    paths = []
    for name in names:
        free = name in files or taken.get(name.casefold(), name) == name
        file = name if free and _is_safe(name) else _with_hash(name)
        taken.setdefault(file.casefold(), file)
        paths.append(folder / file)
    return paths


def _with_hash(name: str) -> str:
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    readable = re.sub(r"\W+", "-", name).strip("-")[:40]
    return f"{readable}-{digest}" if readable else digest


def _is_safe(name: str) -> bool:
    short = len(name.encode(errors="surrogatepass")) <= _LONGEST_BYTES
    return short and bool(_SAFE.fullmatch(name)) and not name.casefold().endswith(_SUFFIXES)


def has_key(path: Path) -> bool:
    """Whether a key is there; what a full disk or a kill left empty is none."""
    return path.exists() and path.stat().st_size > 0


def make_keys(folder: Path, names: Sequence[str]) -> None:
    """Make a key for each name.

    Raises
    ------
    UsageError
        If a key is there already, or cannot be written.
    """
    paths = key_paths(folder, names)
    if taken := [path for path in paths if has_key(path)]:
        raise UsageError(
            f"{taken[0]} exists; a key is never overwritten.",
            "Choose another folder, or remove the key if it is not registered anywhere.",
        )
    try:
        durable.make_folder(folder)
        for file in paths:
            _write(file, NodeKey.new())
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error


def _write(path: Path, key: NodeKey) -> None:
    """Write a private key, and the public one beside it."""
    encoded = key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    durable.write(path, encoded, mode=0o600)
    public = key.private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    durable.write(path.with_name(f"{path.name}.pub"), public + b"\n")


def _read_or_nothing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    encoded = path.read_bytes()
    try:
        private = serialization.load_ssh_private_key(encoded, password=None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is not a private key in OpenSSH's format: {error}.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path} is not an elliptic curve key.", "`flower-v6 keys` makes keys.")
    return private
