"""Runs of a few messages, for tests."""

from typing import Any

from algorithm.monitoring.outcome import Outcome
from proxy.central.report import MessageRecord

BEGAN = 1_767_225_600.0
SECONDS = {"drain": 0.5, "carry": 1.0, "handover": 0.5, "clientapp": 2.0}


def record(station: str, step: int = 1, message_type: str = "train", **more: Any) -> MessageRecord:
    """Return what became of a message: four seconds, beginning ten after the step before."""
    about: dict[str, Any] = {
        "at": BEGAN + 10 * step,
        "seconds": SECONDS,
        "fab_hash": "ab" * 32,
    } | more
    message_id = f"{message_type}-{step}-{station}"
    return MessageRecord(station, "7", message_type, "", message_id, step, **about)


def outcome(*messages: MessageRecord, **more: Any) -> Outcome:
    """Return a run of an app, a minute long."""
    stations = sorted({each.station for each in messages})
    about: dict[str, Any] = {"status": "completed", "seconds": 60.0} | more
    return Outcome("digits", "1.41.0", "warm", stations, messages=list(messages), **about)
