"""How this process gets its memory. Imports little: couriers start with it."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
# More than a block of a file (`proxy.blocks.BLOCK_BYTES`): blocks are read one after another, and
# fresh memory for each would take ten times as long as the reading.
_LARGE_BYTES = 2 << 20


def give_back_large_blocks() -> None:
    """Have the C library give large blocks back to the system as soon as they are freed.

    Otherwise glibc keeps a freed block of up to 32 MiB for the thread that had it, and for the next
    ones of that size (mallopt(3), `M_MMAP_THRESHOLD`): some chunks of a model for each thread that
    ever moved one. Other C libraries have no such setting, and nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
