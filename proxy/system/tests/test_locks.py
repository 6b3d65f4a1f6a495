"""One at a time, across processes; and nobody has to clean up after one that was killed."""

import subprocess
import sys
import threading
from pathlib import Path

from proxy.system.locks import locked, shared, try_lock

HOLDER = """
import sys
from pathlib import Path
from proxy.system.locks import try_lock
held = try_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "lock")
    assert first is not None
    assert try_lock(tmp_path / "lock") is None
    first.close()
    second = try_lock(tmp_path / "lock")
    assert second is not None
    second.close()


def test_who_waits_has_the_lock_when_the_other_lets_it_go(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "lock")
    assert first is not None
    has_it = threading.Event()

    def wait() -> None:
        with locked(tmp_path / "lock"):
            has_it.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not has_it.is_set()
    first.close()
    waiting.join(20.0)
    assert has_it.is_set()


def test_a_lock_that_is_shared_has_several_holders_and_none_alone(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"), shared(tmp_path / "lock"):
        assert try_lock(tmp_path / "lock") is None
    alone = try_lock(tmp_path / "lock")
    assert alone is not None
    alone.close()


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert try_lock(tmp_path / "lock") is None
        holder.kill()
        holder.wait()
    with locked(tmp_path / "lock"):
        pass
