"""The log of a function."""

import io
import logging

from proxy.system.logs import LogFormatter

ESC, BELL = "\x1b", "\x07"


def test_nothing_in_a_log_record_passes_for_another() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter("%(levelname)s %(message)s"))
    logger = logging.Logger("a logger")
    logger.addHandler(handler)
    logger.warning("station %s", f"north\nERROR forged{ESC}]0;title{BELL}")
    try:
        raise ValueError(f"one\nERROR forged{ESC}[31m")
    except ValueError:
        logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["WARNING station north", "    ERROR forged", "ERROR failed"]
    assert all(line.startswith("    ") for line in lines[3:])
    assert ESC not in stream.getvalue()
