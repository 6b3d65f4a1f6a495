"""Apps (FABs), their pyproject.toml, and the manifests of images."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO

from algorithm.flower import strict_toml
from algorithm.flower.manifest import Manifest, file_hashes
from algorithm.tests.fabs import FAB, MANIFEST, PYPROJECT, make_fab
from proxy.errors import AppError

ERRORS = (AppError,)


def parse(data: bytes) -> None:
    """Read an input as a FAB, as the pyproject.toml of one, and as a manifest."""
    if data.startswith(b"PK"):
        file_hashes(data)
        Manifest.of_fab(data)
    elif data.startswith(b"{"):
        try:
            found = Manifest.parse(data.decode(errors="replace"))
        except (ValueError, TypeError):
            return
        assert Manifest.parse(json.dumps(asdict(found))) == found
    else:
        app = Manifest.of_fab(_with(data))
        assert isinstance(app.name, str)


def _with(pyproject: bytes) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml"), pyproject)
    return target.getvalue()


def seeds() -> Iterator[bytes]:
    """Make apps."""
    yield FAB
    yield PYPROJECT.encode()
    yield json.dumps(asdict(MANIFEST)).encode()


def bombs() -> Iterator[bytes]:
    """Dotted keys, a long key above many, nested tables; files that expand, many files."""
    half = strict_toml.MOST_BYTES // 2
    yield b"a." * (half - 10) + b"a=1"
    yield (PYPROJECT + "x." * half).encode()
    yield (PYPROJECT + f"[tool.flwr.app.config.{'a' * half}]\n" + _keys(10_000)).encode()
    yield b"a=" + b"[" * 100_000
    yield b"a=" + b"{a=" * 50_000
    yield make_fab({f"{number}.json": "0" * (8 << 20) for number in range(6)})
    yield make_fab({"pyproject.toml": "a." * (8 << 20)})
    yield make_fab({"pyproject.toml": "#" * (64 << 20)})
    yield make_fab({f"{number}.py": "" for number in range(12_000)}, zipfile.ZIP_STORED)
    yield b"PK\3\4" + b"PK\1\2" * 20_000


def _keys(count: int) -> str:
    return "".join(f"k{number}=1\n" for number in range(count))
