"""The log of a function."""

import io
import logging
import time

import pytest

from proxy.system.logs import LogFormatter, Repetitions

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


def test_a_warning_that_goes_on_is_written_every_ten_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    handler = logging.StreamHandler(stream)
    handler.addFilter(Repetitions())
    logger = logging.Logger("a logger")
    logger.addHandler(handler)
    for second in range(601):
        now[0] = float(second)
        logger.warning("no central at %s", "host:1")
        if second % 300 == 0:
            logger.error("failed")
    assert stream.getvalue().splitlines() == [
        *("no central at host:1", "failed", "failed"),
        *("no central at host:1 (599 more times since 600 s ago)", "failed"),
    ]
