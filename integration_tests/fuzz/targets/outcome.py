"""run.json, and the results of central tasks that are fetched."""

import io
import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import Collaboration, Researcher
from algorithm.researcher.fetch import fetch
from integration_tests.fuzz.answers import answering
from proxy import strict_json
from proxy.central.report import MessageRecord
from proxy.errors import AppError, CarrierError, UsageError
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import Organization
from proxy.vantage6.v4.server import Server4

ERRORS = (AppError, CarrierError, UsageError)
_FOLDER = Path(mkdtemp(prefix="fuzz-"))
_ALPHA = Organization(1, "Alpha", "")
_TASK = {"id": 1, "status": "completed", "init_org": {"id": 1}}
_RECORD = MessageRecord("Alpha", "7", "train", "1", "1f", metrics={"loss": 0.5}, error_code=8)
_SOUND = Outcome(
    "app", "1.41.0", "warm", ["Alpha"], status="completed", messages=[_RECORD]
).members()


def parse(data: bytes) -> None:
    """Fetch a result; what is left is strict JSON, and within the folder."""
    _read(data)
    server = Server4("http://localhost/api", ContainerLogin("token"))
    researcher = Researcher(server, Collaboration(1, "Study", False), [_ALPHA], _ALPHA)
    result = json.dumps({"data": [{"id": 1, "result": b64encode(data).decode()}]}).encode()
    output = _FOLDER / "out"
    shutil.rmtree(output, ignore_errors=True)
    try:
        with answering(result):
            fetch(researcher, _TASK, output, Screen(io.StringIO()))
    finally:
        assert [each.name for each in _FOLDER.iterdir()] in ([], ["out"])
        if (output / "run.json").exists():
            _read((output / "run.json").read_bytes())


def _read(text: bytes) -> None:
    try:
        outcome = Outcome.checked(strict_json.loads(text))
    except ValueError:
        return
    written = json.loads(outcome.text(), parse_constant=_refuse)
    assert Outcome.checked(written).text() == outcome.text()


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def seeds() -> Iterator[bytes]:
    """Make results."""
    for files in (
        {"model.npz": "AAAA", "a/b": ""},
        {"../x": ""},
        {"run.json": ""},
        {"a": "", "a/b": ""},
        {"\ud800": ""},
        {"n" * 5000: ""},
        {"a": 5},
    ):
        yield json.dumps({**_SOUND, "files": files}).encode()
    yield json.dumps({**_SOUND, "seconds": float("nan"), "files": {}}).encode()
    yield b'{"error": "no"}'


def bombs() -> Iterator[bytes]:
    """Nested text, many values, many files."""
    yield b'{"files": {}, "app": ' + b"[" * 100_000
    yield json.dumps({**_SOUND, "files": {}, "more": [[]] * 300_000}).encode()
    yield json.dumps({**_SOUND, "messages": [{}] * 100_000, "files": {}}).encode()
