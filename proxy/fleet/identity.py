"""SuperNodes that a SuperLink was told of beforehand: their keys on disk, and their node ids.

A folder holds for each SuperNode `NAME`, its private key, `NAME.pub`, its public key for
registration, both in OpenSSH's format as Flower's own commands read them (flwr 1.23 to 1.41,
`flwr/cli/supernode/register.py`), and `NAME.node`, the node id that it last had.
"""

import fcntl
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy import durable
from proxy.errors import UsageError
from proxy.fleet.node_key import NodeKey

log = logging.getLogger(__name__)

_NODE_ID = re.compile(r"[0-9]{1,20}\n?")


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
                f"The key {path} is in use: another flower-v6 is the SuperNode that has it.",
                "Stop that one, or take other keys.",
            ) from None
        self.node_id = _node_id(self._node_file)

    def remember(self, node_id: int) -> None:
        """Keep the node id that it has now."""
        self.node_id = node_id
        # In place, because this file is the lock: all digits at once, as many as there may be.
        with self._node_file.open("r+") as file:
            file.write(f"{node_id:020}\n")
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let others use it."""
        self._lock.close()


def make_keys(folder: Path, names: Sequence[str]) -> None:
    """Make a key for each name.

    Raises
    ------
    UsageError
        If a key is there already, or cannot be written.
    """
    if taken := [name for name in names if (folder / name).exists()]:
        raise UsageError(
            f"{folder / taken[0]} is a key already; it is not overwritten.",
            "Name another folder, or remove the key if no SuperLink knows it.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            private = NodeKey.new().private
            file = folder / name
            encoded = private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            )
            file.touch(mode=0o600, exist_ok=False)
            durable.write(file, encoded, mode=0o600)
            public = private.public_key().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            )
            durable.write(folder / f"{name}.pub", public + b"\n")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error


def _node_id(file: Path) -> int:
    """Return the node id that is in a file; 0 if there is none, or none that was written in full.

    Without it the SuperNode registers as if it were new to this machine.
    """
    text = file.read_text(errors="replace")
    if _NODE_ID.fullmatch(text):
        return int(text)
    if text:
        log.warning("%s does not hold a node id: it is taken for empty", file)
    return 0


def _read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    encoded = path.read_bytes()
    try:
        private = serialization.load_ssh_private_key(encoded, password=None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no private key in OpenSSH's format: {error}.") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path} is no key on an elliptic curve.", "`flower-v6 keys` makes keys.")
    return private
