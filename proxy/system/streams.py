"""Standard streams that can be used, whatever this process was started with."""

import os
import sys


def ready_streams() -> None:
    """Have all three standard streams open, and able to write any character.

    A shell may have closed one (`<&-`): then the next file or pipe would get its number, and be
    taken for it. And the encoding may lack a character of a message: no message is lost for that.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def flush_streams() -> None:
    """Write out what is buffered; what nobody can take is dropped, and the interpreter ends well.

    Otherwise Python would try again at its end, and change the exit code to 120.
    """
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)
