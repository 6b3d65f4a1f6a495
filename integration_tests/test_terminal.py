"""The live view on a real terminal: what it shows, when it changes its size, and at Ctrl-C."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from integration_tests.harness import APPS, COMMAND, run_config, wait_until


class Terminal:
    """A pseudoterminal with a program in it, and what its screen shows."""

    def __init__(self, *command: str, columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._master, self._slave = pty.openpty()
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(self._slave)
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self.program = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environment,
            # The terminal that Ctrl-C is pressed on is the program's own.
            preexec_fn=self._own,  # noqa: PLW1509 - there is no other thread yet
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _own(self) -> None:
        os.setsid()
        # Whoever runs the tests in the background may have turned it off.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)

    def _read(self) -> None:
        while True:
            try:
                shown = os.read(self._master, 65536)
            except OSError:
                return
            with self._lock:
                self._stream.feed(shown)

    @property
    def lines(self) -> list[str]:
        """What the screen shows."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def cursor_is_shown(self) -> bool:
        """Whether there is a cursor."""
        return not self._screen.cursor.hidden

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as a window does; the program is told."""
        size = struct.pack("HHHH", lines, columns, 0, 0)
        with self._lock:
            self._screen.resize(lines, columns)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def modes_now(self) -> list[object]:
        """Return the terminal's modes."""
        return list(termios.tcgetattr(self._slave))

    def close(self) -> None:
        """End the program, and the terminal."""
        self.program.kill()
        self.program.wait()
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A run whose first station is held in the second round."""
    config = run_config(
        num_server_rounds=2,
        hold="0-2",
        journal=tmp_path / "journal",
        result=tmp_path / "result.json",
    )
    app = str(APPS / "faults")
    terminal = Terminal(
        *(COMMAND, "run", app, "--mode", "direct", "--run-config", config), columns=100, lines=30
    )
    yield terminal
    terminal.close()


def row_of(station: str, terminal: Terminal) -> str:
    """Return a station's row in the table; empty if there is none."""
    return next((line for line in terminal.lines if line.startswith(f"{station} ")), "")


def test_the_table_follows_the_run_and_the_windows_size_and_goes_with_ctrl_c(
    terminal: Terminal,
) -> None:
    wait_until(lambda: "working" in row_of("station-1", terminal), "a station works")
    wait_until(lambda: "train 2" in row_of("station-2", terminal), "the second round has begun")
    wait_until(lambda: "idle" in row_of("station-2", terminal), "the other has answered")
    assert "value" in row_of("station-2", terminal) or "partition" in row_of("station-2", terminal)
    assert any("train 1: 2 of 2 stations answered" in line for line in terminal.lines)

    terminal.resize(50, 12)
    wait_until(
        lambda: (
            not any("Metric" in line for line in terminal.lines)
            and bool(row_of("station-1", terminal))
        ),
        "the table is narrow",
    )

    terminal.press(b"\x03")
    assert terminal.program.wait(60) == 130
    wait_until(lambda: any("stopped by SIGINT" in line for line in terminal.lines), "it says so")
    assert row_of("station-1", terminal) == ""
    assert terminal.cursor_is_shown
    assert terminal.modes_now() == terminal.modes


def test_a_run_that_ends_leaves_its_lines_and_nothing_else(
    terminal: Terminal, tmp_path: Path
) -> None:
    wait_until(lambda: "working" in row_of("station-1", terminal), "a station works")
    (tmp_path / "0-2.go").touch()
    assert terminal.program.wait(120) == 0
    wait_until(lambda: any("the run completed" in line for line in terminal.lines), "it says so")
    assert row_of("station-1", terminal) == ""
    assert any("train 2: 2 of 2 stations answered" in line for line in terminal.lines)
    assert terminal.cursor_is_shown
    assert terminal.modes_now() == terminal.modes
