"""Key-value pairs: run configs and node configs."""

from collections.abc import Iterator
from pathlib import Path

from algorithm.flower.node_config import node_config, run_config
from proxy.errors import UsageError
from proxy.platforms import VANTAGE6_4
from proxy.vantage6.container import Container, Database

ERRORS = (UsageError,)
_CONTAINER = Container(
    input_file=Path("in"),
    output_file=Path("out"),
    shared_folder=Path("tmp"),
    databases={"a": Database("file", "csv")},
    platform=VANTAGE6_4,
)


def parse(data: bytes) -> None:
    """Read pairs as a run config, and as what a central says of a node."""
    text = data.decode(errors="replace")
    node_config(text, _CONTAINER)
    # A user's own, which takes the square of its length.
    if not text.endswith(".toml"):
        run_config([text[:2000]])


def seeds() -> Iterator[bytes]:
    """Make pairs."""
    yield b"partition-id=0 num-partitions=2"
    yield b"lr=0.1 name=\"a b\" flag=true date=1979-05-27 list=[1,2] table={a=1} 'x'=1"
    yield b"a.b.c=1 a.b.d=2"


def bombs() -> Iterator[bytes]:
    """No "=", dotted keys, nested arrays."""
    for length in (900, 500_000):
        yield b"a" * length
        yield b"a." * (length // 2) + b"a=1"
        yield b"a=" + b"[" * length
        yield b"a=" + b"{a=" * (length // 3)
        yield b"a=" + b"9" * length
