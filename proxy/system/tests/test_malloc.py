"""What a process keeps of the memory that it has freed: blocks of a file, but no larger ones."""

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


_READS_BLOCKS = textwrap.dedent(
    """
    import resource, threading
    from proxy.blocks import BLOCK_BYTES
    from proxy.system.malloc import give_back_large_blocks

    def read():
        with open("/dev/zero", "rb", buffering=0) as file:
            for _ in range(100):
                file.read(BLOCK_BYTES)

    give_back_large_blocks()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    print(pages * resource.getpagesize() / BLOCK_BYTES)
    """
)

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def _told_by(program: str, *arguments: str) -> float:
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return float(process.stdout)


def test_chunks_that_threads_have_moved_are_given_back() -> None:
    kept = [_told_by(_MOVES_CHUNKS, setting) for setting in ("give back", "as it is")]
    assert kept[0] < 5 <= kept[1]


def test_blocks_of_a_file_that_are_read_one_after_another_take_no_fresh_memory() -> None:
    """To get it would take ten times as long as to read them."""
    assert _told_by(_READS_BLOCKS) < 40  # of 200 blocks
