"""What the bridge says by itself, held against the tape: its report, and its own error replies."""

import struct
from collections.abc import Sequence

from proxy.central.report import MessageRecord
from proxy.fleet.messages import Instruction, error_reply
from proxy.fleet.wire import double, numbers, values, zigzag
from proxy.tapes.replay.rules import Difference, listed, told, unlike
from proxy.tapes.tape import Call


def check_report(record: MessageRecord, calls: Sequence[Call]) -> None:
    """Check that the report says of a message what is on the tape.

    Source of the field numbers: flwr 1.15 to 1.42, flwr/proto/{message,fleet,error}.proto.
    """
    pulled, pushed = calls[0].answer or b"", _announced(calls).request
    error, runtime = _error(pushed), _text(pushed, 4)
    for name, reported, meant in (
        ("message_type", record.message_type, _text(pulled, 2, 1, 8).decode()),
        ("group_id", record.group_id, _text(pulled, 2, 1, 6).decode()),
        ("error_code", record.error_code, error[0] if error else None),
        ("error", record.error, error[1] if error else ""),
        (
            "clientapp_runtime",
            record.clientapp_runtime,
            sum(seconds for (seconds,) in struct.iter_unpack("<d", runtime)),
        ),
    ):
        if reported != meant:
            raise Difference(f"The report's {name} is {reported!r}; on the tape it is {meant!r}.")


def check_error_reply(instruction: Instruction, calls: Sequence[Call]) -> None:
    """Check that the bridge would put the same error into the same form as the SuperNode did."""
    announced = _announced(calls)
    if error := _error(announced.request):
        created_at = double(numbers(announced.request, 2, 1, 9)[0])
        reply, _ = error_reply(instruction, *error, created_at)
        if differing := unlike("error reply", announced, reply.encoded):
            raise Difference(
                f"The bridge's own error reply differs from the one in {told(announced)} in"
                + listed(differing)
            )


def _announced(calls: Sequence[Call]) -> Call:
    """Return the call that announced the reply to a message."""
    return next(call for call in reversed(calls) if call.method == "PushMessages")


def _error(pushed: bytes) -> tuple[int, str] | None:
    """Return code and reason of the error that a reply reports."""
    if not values(pushed, 2, 3):
        return None
    codes = numbers(pushed, 2, 3, 1)
    return zigzag(codes[0]) if codes else 0, _text(pushed, 2, 3, 2).decode()


def _text(encoded: bytes, *path: int) -> bytes:
    return b"".join(value for value in values(encoded, *path) if isinstance(value, bytes))
