"""One input for one target, with a watch on time and memory."""

import importlib
import pkgutil
import resource
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from integration_tests.fuzz import targets

CORPUS = Path(__file__).with_name("corpus")
# What an input may cost. No parser comes near; whatever is quadratic, or a bomb, goes beyond.
_SECONDS, _SECONDS_PER_BYTE = 10.0, 50e-6
_BYTES, _BYTES_PER_BYTE = 384 << 20, 500


class TooSlow(Exception):
    """A parser takes more time than its input may cost."""


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes
    ----------
    name : str
        Its module's name.
    parse : Callable[[bytes], None]
        Has it parse an input, and asserts what must hold of what comes out.
    errors : tuple[type[Exception], ...]
        What it may raise.
    seeds : Callable[[], Iterable[bytes]]
        Makes inputs from which others are made.
    bombs : Callable[[], Iterable[bytes]]
        Makes inputs that would take much time or memory if the parser let them.
    """

    name: str
    parse: Callable[[bytes], None]
    errors: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    bombs: Callable[[], Iterable[bytes]]


def names() -> list[str]:
    """Return the names of all targets."""
    return [each.name for each in pkgutil.iter_modules(targets.__path__)]


def load(name: str) -> Target:
    """Return a target."""
    module = importlib.import_module(f"{targets.__name__}.{name}")
    return Target(name, module.parse, module.ERRORS, module.seeds, module.bombs)


def kept(name: str) -> dict[str, bytes]:
    """Return the inputs that are kept for a target, by their names."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*"))}


def check(target: Target, data: bytes) -> None:
    """Have a target parse an input.

    Raises
    ------
    Exception
        If it raises something that it should not, or takes too much time or memory.
    """
    with (
        _limited_seconds(_SECONDS + _SECONDS_PER_BYTE * len(data)),
        _limited_memory(_BYTES + _BYTES_PER_BYTE * len(data)),
        suppress(*target.errors),
    ):
        target.parse(data)


@contextmanager
def _limited_seconds(seconds: float) -> Iterator[None]:
    """Limit the processor's time."""

    def too_slow(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"It took more than {seconds:.1f} s.")

    before = signal.signal(signal.SIGVTALRM, too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _limited_memory(more: int) -> Iterator[None]:
    """Limit what the process may have to what it has, and so many bytes more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    has = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (has + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def pieces(data: bytes, count: int) -> list[bytes]:
    """Cut an input into pieces; all but the last have their length before them, in two bytes."""
    cut = []
    for _ in range(count - 1):
        length = int.from_bytes(data[:2], "big")
        cut.append(data[2 : 2 + length])
        data = data[2 + length :]
    return [*cut, data]


def joined(*parts: bytes) -> bytes:
    """Return the input that `pieces` cuts into these."""
    *first, last = parts
    return b"".join(len(part).to_bytes(2, "big") + part for part in first) + last
