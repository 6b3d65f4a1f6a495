"""The environment of a container."""

from base64 import b32encode
from collections.abc import Iterator

from integration_tests.fuzz.harness import joined, pieces
from proxy.errors import CarrierError
from proxy.vantage6.container import decoded
from proxy.vantage6.v4.container import read

ERRORS = (CarrierError,)
_NAMES = (
    *("INPUT_FILE", "OUTPUT_FILE", "TEMPORARY_FOLDER", "USER_REQUESTED_DATABASE_LABELS"),
    *("A_DATABASE_URI", "A_DATABASE_TYPE", "TOKEN_FILE", "HOST", "PORT", "API_PATH"),
)
_SOUND = (
    b"/in",
    b"/out",
    b"/tmp",
    b"a",
    b"file",
    b"csv",
    b"/token",
    b"http://p",
    b"80",
    b"/api",
)


def parse(data: bytes) -> None:
    """Read an environment."""
    # No variable can hold a zero byte.
    texts = (piece.decode("ascii", "replace") for piece in pieces(data, len(_NAMES)))
    values = (text.replace("\0", "") for text in texts)
    environment = {name: value for name, value in zip(_NAMES, values, strict=True) if value}
    assert not any("\0" in value for value in decoded(environment).values())
    container = read(environment)
    container.input_file.exists()
    container.check_databases()


def seeds() -> Iterator[bytes]:
    """Make environments."""
    yield joined(*map(_encoded, _SOUND))
    yield joined(*map(_encoded, _SOUND[:6]), b"", b"", b"", b"")
    yield joined(*map(_encoded, (b"\0", *_SOUND[1:])))


def bombs() -> Iterator[bytes]:
    """Many labels."""
    labels = _encoded(b",".join(b"%d" % number for number in range(6000)))
    yield joined(*map(_encoded, _SOUND[:3]), labels, *([b""] * 6))


def _encoded(value: bytes) -> bytes:
    return b32encode(value).replace(b"=", b"!")
