"""What several tests need, besides `proxy.testing`."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle, BundleWriter
from proxy.fleet.messages import object_id, parse
from proxy.testing import FakeSuperLink, Objects, record_dict
from proxy.transport.superlink import SuperLink

Case = TypeVar("Case")
# Where Flower serves each Fleet method over HTTP.
PATHS = {
    "RegisterNode": "/v1/fleet/register-node",
    "ActivateNode": "/v1/fleet/activate-node",
    "DeactivateNode": "/v1/fleet/deactivate-node",
    "UnregisterNode": "/v1/fleet/unregister-node",
    "SendNodeHeartbeat": "/v1/fleet/send-node-heartbeat",
    "PullMessages": "/v1/fleet/pull-messages",
    "PushMessages": "/v1/fleet/push-messages",
    "PullObject": "/v1/fleet/pull-object",
    "PushObject": "/v1/fleet/push-object",
    "ConfirmMessageReceived": "/v1/fleet/confirm-message-received",
    "GetRun": "/v1/fleet/get-run",
    "GetFab": "/v1/fleet/get-fab",
}


def some(cases: Sequence[Case], every: int) -> list[Case]:
    """Return every third, say, of many cases that are alike; in CI, all."""
    return list(cases if "CI" in os.environ else cases[::every])


def wait_until(condition: Callable[[], object], timeout: float = 60.0) -> bool:
    """Wait for what happens in another process or thread and tells nobody."""
    give_up = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


def pid_in(path: Path) -> int:
    """Return the process id that somebody writes to a file."""
    assert wait_until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def runs(pid: int) -> bool:
    """Whether a process runs; one that ended and was not collected by its parent does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def noise(size: int, seed: bytes = b"") -> bytes:
    """Return bytes that cannot be compressed, the same for the same seed."""
    return hashlib.shake_256(seed).digest(size)


def flipped(data: bytes, bits: int = 8) -> Iterator[bytes]:
    """Yield `data` with one bit changed: every one, or only the lowest of each byte."""
    for place in range(len(data)):
        for bit in range(bits):
            yield data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


class Drained:
    """A message that was fetched from a SuperLink, as parts that a test may change.

    Attributes
    ----------
    header : Header
        That of the instruction bundle.
    pulled : bytes
        The SuperLink's answer to PullMessages.
    objects : dict[str, bytes]
        The message's objects, by id.
    fab : bytes
        The SuperLink's answer to GetFab.
    """

    def __init__(
        self, content: Objects | None = None, superlink: FakeSuperLink | None = None
    ) -> None:
        superlink = superlink or FakeSuperLink()
        node = SuperLink(superlink)
        node.register()
        superlink.push_instruction(content or record_dict(weights=b"w" * 100), node.node_id)
        instruction = node.pull_messages()
        assert instruction is not None
        self.instruction, self.metadata = instruction, instruction.metadata
        self.pulled = instruction.encoded
        run = node.get_run(self.metadata.run_id)
        fab_hash = parse(fleet.GetRunResponse, run).run.fab_hash
        self.fab = node.get_fab(self.metadata.run_id, fab_hash)
        self.objects = {
            each: node.pull_object(self.metadata.run_id, each) or b""
            for each in instruction.object_ids
        }
        self.header = bundle_pb2.Header(
            message_id=self.metadata.message_id,
            instruction=bundle_pb2.Instruction(
                get_run_response=run,
                fab_object_id=object_id(self.fab),
                node_id=node.node_id,
                deadline_seconds=60.0,
            ),
        )

    def write(self, path: Path, with_fab: bool = True) -> Path:
        """Write the instruction bundle."""
        fab = {object_id(self.fab): self.fab} if with_fab else {}
        pulled = object_id(self.pulled)
        self.header.instruction.pull_messages_object_id = pulled
        return write_bundle(path, self.header, {pulled: self.pulled, **self.objects, **fab})


def pulled_in(bundle: Bundle) -> bytes:
    """Return the SuperLink's answer to PullMessages that an instruction bundle holds."""
    return bundle.read(bundle.header.instruction.pull_messages_object_id)


def pushed_in(bundle: Bundle) -> bytes:
    """Return the SuperNode's PushMessages request that a reply bundle holds."""
    return bundle.read(bundle.header.reply.push_messages_object_id)


def write_reply(path: Path, message_id: str, pushed: bytes, objects: Mapping[str, bytes]) -> Path:
    """Write a reply bundle."""
    header = bundle_pb2.Header(message_id=message_id)
    header.reply.push_messages_object_id = object_id(pushed)
    return write_bundle(path, header, {object_id(pushed): pushed, **objects})


def write_bundle(
    path: Path, header: bundle_pb2.Header, objects: Mapping[str, bytes] | None = None
) -> Path:
    """Write a whole bundle."""
    with BundleWriter(path, header) as writer:
        for each, content in (objects or {}).items():
            writer.add(each, content)
        writer.close()
    return path


NOBODYS_UID = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def as_another_user(*command: str) -> list[str]:
    """Return what runs a command as another user, who may use the files of this one."""
    ids = ("--reuid", str(NOBODYS_UID), "--regid", str(NOBODYS_UID), "--clear-groups")
    caps = ("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override")
    return ["setpriv", *ids, *caps, *command]
