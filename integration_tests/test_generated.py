"""The generated modules load on every protobuf that Flower's releases since 1.26 admit."""

import subprocess
import sys
from pathlib import Path

import pytest

_IMPORT_ALL = "import protos.bundle_pb2, protos.fleet_pb2, protos.tape_pb2"


@pytest.mark.parametrize("requirement", ["protobuf==5.28.0", "protobuf>=6,<7"])
def test_generated_modules_load(requirement: str, tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--target", tmp_path, requirement),
        ],
        check=True,
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _code(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr


def _code(protobuf: Path) -> str:
    root = Path(__file__).parents[1]
    return f"import sys; sys.path[:0] = [{str(protobuf)!r}, {str(root)!r}]; {_IMPORT_ALL}"
