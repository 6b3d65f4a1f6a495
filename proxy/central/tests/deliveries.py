"""What tests of deliveries have in common: a carrier that is watched, and answers that lie."""

from collections.abc import Callable
from pathlib import Path

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle
from proxy.carriers import Exchange
from proxy.fleet.messages import Instruction, Reply, parse
from proxy.testing import (
    MemoryCarrier,
    ProxyPair,
    make_reply,
    record_dict,
)
from proxy.tests.helpers import pulled_in, write_bundle, write_reply

MODEL = record_dict(weights=b"weights" * 20, bias=b"bias")
TRAINED = record_dict(weights=b"trained" * 20, bias=b"bias")

Answering = Callable[[Path, Path], None]


class WatchedCarrier(MemoryCarrier):
    """Notes what it carries; before that, or instead, it may do something else.

    Attributes
    ----------
    instructions : list[tuple[Header, set[str]]]
        The instruction bundles' headers and objects.
    pulled : list[bytes]
        The SuperLink's answers to PullMessages in them.
    timeouts : list[float]
        How long it was given for each.
    before : Callable[[], None]
        Called before each exchange.
    instead : Callable[[Path, Path], None] | None
        Called instead of an exchange, with the instruction's and the reply's paths.
    """

    def __init__(self, instead: Answering | None = None) -> None:
        super().__init__(clientapp=lambda _: TRAINED)
        self.instructions: list[tuple[bundle_pb2.Header, set[str]]] = []
        self.pulled: list[bytes] = []
        self.timeouts: list[float] = []
        self.before: Callable[[], None] = lambda: None
        self.instead = instead

    def exchange(self, station: str, exchange: Exchange) -> None:
        with Bundle(exchange.instruction) as bundle:
            self.instructions.append((bundle.header, set(bundle.object_ids)))
            self.pulled.append(pulled_in(bundle))
        self.timeouts.append(exchange.timeout)
        self.before()
        if self.instead is not None:
            self.instead(exchange.instruction, exchange.reply)
        else:
            super().exchange(station, exchange)

    @property
    def sent_fab(self) -> list[bool]:
        """Whether each instruction came with the app."""
        return [header.instruction.fab_object_id in ids for header, ids in self.instructions]


def asked_in(instruction: Path) -> Instruction:
    """Return the message in an instruction bundle."""
    with Bundle(instruction) as bundle:
        asked = Instruction.decode(pulled_in(bundle))
    assert asked is not None
    return asked


def pushed(pair: ProxyPair) -> list[Reply]:
    """Every PushMessages that the SuperLink got."""
    return [
        Reply.decode(request)
        for method, request in pair.superlink.calls
        if method == "PushMessages"
    ]


def objects_pushed(calls: list[tuple[str, bytes]]) -> dict[str, bytes]:
    requests = [parse(fleet.PushObjectRequest, r) for method, r in calls if method == "PushObject"]
    return {each.object_id: each.object_content for each in requests}


def fail(reply: Path, message_id: str, generation: str = "", code: int = 8) -> None:
    """Answer as a station does whose SuperNode will not reply."""
    header = bundle_pb2.Header(message_id=message_id, cache_generation=generation)
    header.failure.code, header.failure.reason = code, "The SuperNode ended."
    write_bundle(reply, header)


def answer_with(
    change: Callable[[fleet.PushMessagesRequest], None] = lambda _: None,
    message_id: str = "",
    without: int = 0,
) -> Answering:
    """Answer with a reply that lies."""

    def exchange(instruction: Path, reply: Path) -> None:
        asked = asked_in(instruction)
        answer, contents = make_reply(asked, TRAINED)
        request = parse(fleet.PushMessagesRequest, answer.encoded)
        change(request)
        left = dict(list(contents.items())[without:])
        write_reply(reply, message_id or asked.message_id, request.SerializeToString(), left)

    return exchange


def raising(error: Exception) -> Answering:
    def exchange(_: Path, __: Path) -> None:
        raise error

    return exchange


def named_otherwise(**names: int | str) -> Answering:
    def change(request: fleet.PushMessagesRequest) -> None:
        for name, value in names.items():
            setattr(request.messages_list[0].metadata, name, value)

    return answer_with(change)
