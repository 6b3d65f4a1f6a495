"""What is known of a run that left no `run.json`: it was killed, or still goes on."""

from pathlib import Path

from algorithm.monitoring.entries import ENDED, STARTED, Entry, read_file
from algorithm.monitoring.outcome import STATUSES, Outcome
from proxy.central.events import Stage
from proxy.central.report import MessageRecord

_NO_END = (
    "Its events have no end: it was killed, or still goes on. This is what was known until then."
)
# As many as a run.json can have, about; each takes a kilobyte in memory.
_MOST_MESSAGES = 200_000
_LAST = frozenset({Stage.PUSHED, Stage.DROPPED})


def outcome_of_events(path: Path) -> Outcome:
    """Return what `events.jsonl` says of a run; it counts as failed.

    Raises
    ------
    ValueError
        If the file is of a newer schema, or has no events, or too many messages.
    OSError
        If it cannot be read.
    """
    outcome = Outcome("an app", "", "", [], cause=_NO_END)
    records: dict[tuple[str, str], MessageRecord] = {}
    open_until: dict[tuple[str, str], str] = {}
    times = []
    for entry in read_file(path):
        times.append(entry.at)
        if entry.event == STARTED:
            _begin(outcome, entry)
        elif entry.event == ENDED:
            outcome.status = entry.status if entry.status in STATUSES else "failed"
            outcome.cause = entry.cause
        elif entry.station:
            key = (entry.station, entry.message_id)
            if len(records) == _MOST_MESSAGES and key not in records:
                raise ValueError(f"it has more than {_MOST_MESSAGES:,} messages")
            _add(records.setdefault(key, _record(entry)), entry)
            open_until[key] = entry.event
            if entry.event in _LAST:
                del open_until[key]
    if not times:
        raise ValueError("it has no events")
    for key, event in open_until.items():
        records[key].error = records[key].error or f"no reply so far: the message was {event}"
    outcome.messages = list(records.values())
    outcome.stations = outcome.stations or sorted({station for station, _ in records})
    outcome.flower_run = next((record.flower_run for record in outcome.messages), "")
    outcome.seconds = max(max(times) - min(times), 0.0)
    return outcome


def _begin(outcome: Outcome, entry: Entry) -> None:
    outcome.app = entry.app or outcome.app
    outcome.flower_release, outcome.bridge_release = entry.flower_release, entry.bridge_release
    outcome.mode, outcome.supernodes = entry.mode or outcome.mode, entry.supernodes
    outcome.stations = list(entry.stations)
    # `attach` adds to its file: what ended before is another start.
    outcome.status, outcome.cause = "failed", _NO_END


def _record(entry: Entry) -> MessageRecord:
    return MessageRecord(
        entry.station,
        entry.flower_run,
        entry.message_type,
        entry.group_id,
        entry.message_id,
        entry.step,
        entry.at,
    )


def _add(record: MessageRecord, entry: Entry) -> None:
    """Take what an entry says, as `MessageRecord.add` does of its event."""
    for stage, took in entry.seconds.items():
        record.seconds[stage] = record.seconds.get(stage, 0.0) + took
    match entry.event:
        case Stage.DRAINED:
            record.object_bytes_out, record.fab_bytes = entry.object_bytes, entry.fab_bytes
            record.fab_hash = entry.fab_hash
        case Stage.SENT:
            record.bytes_out += entry.bytes
        case Stage.ANSWERED:
            record.bytes_back, record.object_bytes_back = entry.bytes, entry.object_bytes
            record.clientapp_runtime, record.metrics = entry.clientapp_runtime, entry.metrics
            record.state_lost = record.state_lost or entry.state_lost
            record.error_code, record.error = entry.error_code, entry.error
        case Stage.DROPPED:
            record.error = entry.error
