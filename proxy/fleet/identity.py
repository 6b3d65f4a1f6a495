"""SuperNodes that a SuperLink was told of beforehand: their keys on disk, and their node ids.

A folder holds for each SuperNode `NAME`, its private key, `NAME.pub`, its public key for
registration, both in OpenSSH's format as Flower's own commands read them (flwr 1.23 to 1.41,
`flwr/cli/supernode/register.py`), and `NAME.node`, the node id that it last had. `NAME` is the
station's name, or where that makes no good file name, one that is made from it (`key_paths`).
"""

import fcntl
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.errors import UsageError
from proxy.fleet.node_key import NodeKey

# Names of stations that are good names of files, on every system and beside `NAME.pub`.
_SAFE = re.compile(r"\w[\w .+@()'&,-]*(?<![ .])")
_LONGEST_BYTES = 200


class Identity:
    """One such SuperNode, which nobody else on this machine is until it is closed.

    Parameters
    ----------
    path : Path
        Its private key.

    Attributes
    ----------
    key : NodeKey
        The key.
    node_id : int
        The node id that it last had; 0 if it had none.

    Raises
    ------
    UsageError
        If there is no such key, or somebody uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._node_file = path.with_name(f"{path.name}.node")
        try:
            self.key = NodeKey(_read_private(path))
            self._lock: TextIO = self._node_file.open("a+")
        except OSError as error:
            raise UsageError(
                f"The key {error.filename} cannot be used: {error.strerror}.",
                "`flower-v6 keys` makes keys.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UsageError(
                f"The key {path} is in use by another flower-v6.",
                "Stop the other one, or use other keys.",
            ) from None
        self.node_id = int(self._node_file.read_text() or 0)

    def remember(self, node_id: int) -> None:
        """Keep the node id that it has now."""
        self.node_id = node_id
        self._node_file.write_text(str(node_id))

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
    return short and bool(_SAFE.fullmatch(name)) and not name.endswith((".pub", ".node"))


def make_keys(folder: Path, names: Sequence[str]) -> None:
    """Make a key for each name.

    Raises
    ------
    UsageError
        If a key is there already, or cannot be written.
    """
    paths = key_paths(folder, names)
    if taken := [path for path in paths if path.exists()]:
        raise UsageError(
            f"{taken[0]} exists; a key is never overwritten.",
            "Choose another folder, or remove the key if it is not registered anywhere.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in paths:
            private = NodeKey.new().private
            file.touch(mode=0o600, exist_ok=False)
            file.write_bytes(
                private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.OpenSSH,
                    serialization.NoEncryption(),
                )
            )
            public = private.public_key().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            )
            file.with_name(f"{file.name}.pub").write_bytes(public + b"\n")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error


def _read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    encoded = path.read_bytes()
    try:
        private = serialization.load_ssh_private_key(encoded, password=None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is not a private key in OpenSSH's format: {error}.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path} is not an elliptic curve key.", "`flower-v6 keys` makes keys.")
    return private
