"""The input of a container, and a result with a bundle in it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from proxy.errors import CarrierError
from proxy.vantage6 import payload

ERRORS = (CarrierError,)
_FOLDER = Path(mkdtemp(prefix="fuzz-"))


def parse(data: bytes) -> None:
    """Read a payload, and its bundle if there is one."""
    (_FOLDER / "payload").write_bytes(data)
    with payload.read(_FOLDER / "payload") as found:
        assert isinstance(found.fields, dict)
        if found.has_bundle:
            found.save_bundle(_FOLDER / "bundle")
            assert (_FOLDER / "bundle").stat().st_size <= len(data)


def seeds() -> Iterator[bytes]:
    """Make payloads."""
    (_FOLDER / "bundle").write_bytes(bytes(range(256)))
    fields = {"method": "courier", "kwargs": {"message_id": "1f", "é": 1.5}}
    for bundle in (_FOLDER / "bundle", None):
        payload.write(_FOLDER / "seed", fields, bundle)
        yield (_FOLDER / "seed").read_bytes()
    yield b'{"error": "no"}'


def bombs() -> Iterator[bytes]:
    """Nested deeply, many values, a long number, a bundle that does not end."""
    yield b"[" * 100_000
    yield b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    yield b"[" + b"[]," * 300_000 + b"[]]"
    yield b'{"a": ' + b"9" * 500_000 + b"}"
    yield b'{"bundle": "' + b"A" * 2_000_000
    yield b'"bundle" ' * 100_000
