"""What a process keeps of the memory that it has freed."""

import platform
import subprocess
import sys
import textwrap

import pytest

_MOVES_CHUNKS = textwrap.dedent(
    """
    import sys, threading
    import psutil
    from proxy.system.malloc import give_back_large_blocks

    if sys.argv[1] == "give back":
        give_back_large_blocks()
    here = psutil.Process()
    all_at_once = threading.Barrier(4)

    def move():
        for _ in range(4):
            chunk = b"1" * (5 << 20)
            all_at_once.wait()
            del chunk
            all_at_once.wait()

    def work():
        threads = [threading.Thread(target=move) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    before = here.memory_info().rss
    work()
    print((here.memory_info().rss - before) >> 20)
    """
)


def _mebibytes_kept(setting: str) -> int:
    process = subprocess.run(
        [sys.executable, "-c", _MOVES_CHUNKS, setting], capture_output=True, text=True, check=True
    )
    return int(process.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_chunks_that_threads_have_moved_are_given_back() -> None:
    assert _mebibytes_kept("give back") < 5 <= _mebibytes_kept("as it is")
