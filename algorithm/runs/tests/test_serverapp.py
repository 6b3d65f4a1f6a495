"""A ServerApp's process may send anything: the run then fails with a sentence."""

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithm.runs import serverapp as server_app
from algorithm.runs.serverapp import ServerApp
from algorithm.tests.fabs import FAB
from protos import fleet_pb2 as fleet
from proxy.blocks import Data, in_memory

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([b"M", b"C", b"B", b"T", b"E", b"D", b"R", b"?", b"\xff"]),
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    b'"why"',
                    b"{",
                    b"[" * 100_000,
                    b"\xff",
                    b"NaN",
                    b'{"sent":1,"messages":["3/0"],"in_vain":false}',
                    b'{"sent":1,"messages":[],"in_vain":false}',
                    fleet.Message(
                        metadata=fleet.Metadata(
                            message_id="f", dst_node_id=3, created_at=time.time(), ttl=9.0
                        )
                    ).SerializeToString(),
                ]
            ),
        ),
    ),
    max_size=6,
)


class Process:
    """What is needed of a process that has ended by itself."""

    exit_code = 7

    def stop(self) -> None:
        """Do nothing."""


class Script:
    """Sends frames, then ends."""

    frames: Sequence[tuple[bytes, bytes]] = ()

    def __init__(self, *_: object) -> None:
        self.process = Process()
        self.sent: list[tuple[bytes, bytes]] = []
        self._left = [(b"R", b""), *self.frames]

    def alone(self) -> AbstractContextManager[None]:
        """Do nothing: there is one thread."""
        return nullcontext()

    def send(self, kind: bytes, data: Data) -> None:
        """Keep what comes."""
        self.sent.append((kind, in_memory(data)))

    def receive(self) -> tuple[bytes, Data]:
        """Return the next frame."""
        if not self._left:
            raise EOFError
        return self._left.pop(0)


class Flower:
    """Of no release in particular, with an interpreter."""

    release = "1.41.0"

    def command(self, program: str, *arguments: str) -> list[str]:
        """Run what is given as the script instead, with the file descriptor as its argument."""
        return [sys.executable, *arguments]

    def environment(self, home: Path) -> Mapping[str, str]:
        """Return no variables."""
        return {}


@given(FRAMES)
def test_whatever_the_process_sends_the_run_ends_with_one_word(
    frames: list[tuple[bytes, bytes]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Script, "frames", frames)
        patch.setattr(server_app, "Script", Script)
        app = ServerApp(Flower(), Path(), Path())  # type: ignore[arg-type]
        app.begin(FAB, {})
        failure = app.end()
    completed = (b"D" in [kind for kind, _ in frames]) and not failure
    assert completed or failure
    # To each message that was taken there is one answer: there are no nodes.
    answers = [data for kind, data in app._script.sent if kind == b"I"]  # type: ignore[attr-defined]
    assert len(answers) == len([kind for kind, _ in app._script.sent if kind == b"M"])  # type: ignore[attr-defined]


GARBAGE = """
import socket, sys
pipe = socket.socket(fileno=int(sys.argv[1]))
pipe.sendall(b"R" + bytes(8) + {frames!r})
pipe.recv(1)
import time; time.sleep(600)
"""


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"M" + (2).to_bytes(8, "big") + b"\xff\xff", "sent what is no message"),
        (b"E" + (1).to_bytes(8, "big") + b"{", "what cannot be read: JSONDecodeError"),
        (b"T" + (2).to_bytes(8, "big") + b"[]", "does not say which replies it took"),
        (b"?" + bytes(8), "what nobody knows: b'?'"),
    ],
)
def test_a_process_that_sends_garbage_is_ended(
    frames: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "garbage.py"
    script.write_text(GARBAGE.format(frames=frames))
    monkeypatch.setattr(server_app, "_SCRIPT", script)
    app = ServerApp(Flower(), tmp_path, tmp_path / "log")  # type: ignore[arg-type]
    try:
        app.begin(FAB, {})
        assert reason in app.end()
        assert app.process.wait(20.0)
    finally:
        app.stop()


def test_the_grid_hears_of_nodes_with_what_flower_says_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_app, "Script", Script)
    app = ServerApp(Flower(), Path(), Path())  # type: ignore[arg-type]
    node = app.links.connect("station")
    node.register()
    app.begin(FAB, {})
    ((info,),) = [json.loads(data) for kind, data in app._script.sent if kind == b"N"]  # type: ignore[attr-defined]
    assert (info["node_id"], info["status"]) == (node.node_id, "online")
    assert info["online_until"] > time.time()


class Unread(Script):
    """A script that reads nothing any more once the app has begun."""

    closed = threading.Event()
    sending = threading.Event()

    def send(self, kind: bytes, data: Data) -> None:
        """Wait for somebody who reads."""
        super().send(kind, data)
        if len(self.sent) > len([b"S", b"F", b"N"]):
            self.sending.set()
            self.closed.wait(60.0)

    def receive(self) -> tuple[bytes, Data]:
        """Return the run, then nothing until it is closed."""
        if not self._left:
            self.closed.wait(60.0)
        return super().receive()


def test_a_serverapp_that_does_not_read_keeps_no_node_from_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_app, "Script", Unread)
    app = ServerApp(Flower(), Path(), Path())  # type: ignore[arg-type]
    nodes = [app.links.connect("station") for _ in range(3)]
    app.begin(FAB, {})
    for node in nodes:
        node.register()
        assert Unread.sending.wait(20.0)
    for node in nodes:
        node.heartbeat()
        assert node.get_fab(app.run_id, "")
    app.links.check()
    Unread.closed.set()
    assert "exit code 7" in app.end()
