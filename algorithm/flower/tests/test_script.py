"""Frames between the bridge and a script in Flower's interpreter: long ones are never in memory."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.flower.script import Script
from algorithm.tests.fake_flower import INTERPRETER, make_flower
from proxy.blocks import Joined, Stored, in_memory
from proxy.errors import FlowerError
from proxy.fleet.inline import MAX_WHOLE_BYTES

HEAD = "import socket, sys; pipe = socket.socket(fileno=int(sys.argv[1]))"
ECHO = """
while data := pipe.recv(1 << 20):
    pipe.sendall(data)
"""
Start = Callable[[str], Script]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a script with some lines in it."""
    flower = Flower(make_flower(tmp_path / "flower"))
    (tmp_path / "flower" / "bin" / "python").write_text(INTERPRETER)
    logs = tmp_path / "logs"
    logs.mkdir()
    started: list[Script] = []

    def start(lines: str) -> Script:
        path = tmp_path / "script.py"
        path.write_text(f"{HEAD}\n{lines}")
        started.append(Script(flower, path, tmp_path / "home", logs / "log"))
        return started[-1]

    yield start
    for script in started:
        script.stop()


def test_a_long_frame_lies_in_a_file_until_nobody_needs_it(start: Start, tmp_path: Path) -> None:
    script = start("pipe.sendall(b'M' + (3_000_000).to_bytes(8, 'big') + b'abc' * 1_000_000)")
    kind, data = script.receive(time.monotonic() + 20.0)
    assert kind == b"M"
    assert isinstance(data, Stored)
    assert in_memory(data) == b"abc" * 1_000_000
    del data
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["log"]


@pytest.mark.parametrize("size", [0, 1, 1_000])
def test_a_frame_comes_back_as_it_was_sent(start: Start, size: int) -> None:
    script = start(ECHO)
    script.send(b"M", Joined(b"x" * (size // 2), b"y" * (size - size // 2)))
    _, data = script.receive(time.monotonic() + 20.0)
    assert data == b"x" * (size // 2) + b"y" * (size - size // 2)


def test_what_is_larger_than_any_message_is_refused_before_it_is_received(start: Start) -> None:
    script = start(f"pipe.sendall(b'M' + ({MAX_WHOLE_BYTES} + 1).to_bytes(8, 'big')); pipe.recv(1)")
    with pytest.raises(FlowerError, match=f"the limit is {MAX_WHOLE_BYTES:,}"):
        script.receive(time.monotonic() + 20.0)


@pytest.mark.parametrize("sent", ["b''", "b'M'", "b'M' + bytes(7) + b'\\x05' + b'abc'"])
def test_a_script_that_ends_within_a_frame_has_ended(start: Start, sent: str) -> None:
    script = start(f"pipe.sendall({sent})")
    with pytest.raises(EOFError):
        script.receive(time.monotonic() + 20.0)


def test_a_script_that_takes_nothing_is_given_up_at_the_deadline(start: Start) -> None:
    script = start("import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        script.send(b"M", b"a" * 10_000_000, time.monotonic())
