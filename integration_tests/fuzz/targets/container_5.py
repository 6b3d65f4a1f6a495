"""The environment of a container of vantage6 5, and what is noted of its databases."""

from base64 import b32encode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from integration_tests.fuzz.harness import joined, pieces
from proxy.errors import CarrierError
from proxy.vantage6.v5.container import read
from proxy.vantage6.v5.extracted import read_extracted

ERRORS = (CarrierError,)
_NAMES = (
    *("INPUT_FILE", "OUTPUT_FILE", "SESSION_FOLDER", "ALGORITHM_METHOD", "HOST", "PORT"),
    *("API_PATH", "USER_REQUESTED_DATAFRAMES", "CONTAINER_TOKEN"),
)
_SOUND = (b"/in", b"/out", b"/session", b"courier", b"http://p", b"80", b"/hq", b"df-1;df_2,x")
_NOTE = b'{"label": "digits", "type": "csv", "file": "digits.csv", "for_one_run": true}'


def parse(data: bytes) -> None:
    """Read an environment, and a note."""
    *values, note = pieces(data, len(_NAMES) + 1)
    # No variable can hold a zero byte.
    texts = [value.decode("ascii", "replace").replace("\0", "") for value in values]
    with TemporaryDirectory() as session:
        folder = Path(session, "flower-v6", "data", "df")
        folder.mkdir(parents=True)
        (folder / "about.json").write_bytes(note)
        try:
            _, database = read_extracted(Path(session), "df")
            assert Path(database.uri).parent == folder
        except CarrierError:
            pass
    environment = {name: text for name, text in zip(_NAMES, texts, strict=True) if text}
    container = read(environment)
    container.job_folder("task1")
    container.check_databases()


def seeds() -> Iterator[bytes]:
    """Make environments."""
    yield joined(*map(_encoded, _SOUND), b"a.b.c", _NOTE)
    yield joined(*map(_encoded, _SOUND[:7]), b"", b"", b"{}")


def bombs() -> Iterator[bytes]:
    """Many dataframes."""
    names = _encoded(b",".join(b"%d" % number for number in range(6000)))
    yield joined(*map(_encoded, _SOUND[:7]), names, b"", b"")


def _encoded(value: bytes) -> bytes:
    return b32encode(value).replace(b"=", b"!")
