"""What is in an app is what Flower's own builder takes of its folder, whatever else is in there."""

import hashlib
import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from algorithm.flower import app as app_module
from algorithm.flower.app import build, copy_app
from algorithm.flower.environment import Flower
from integration_tests.harness import installed
from proxy.errors import AppError

NEWEST = "the installed one"
PYPROJECT = """
[project]
name = "odd"
version = "1.0.0"
description = "an app with much beside it"
license = "Apache-2.0"
dependencies = ["flwr>=1.15"]
[tool.flwr.app]
publisher = "trial"
{patterns}
[tool.flwr.app.components]
serverapp = "odd.server_app:app"
clientapp = "odd.client_app:app"
[tool.flwr.app.config]
rounds = 1
[tool.flwr.federations]
default = "local"
[tool.flwr.federations.local]
address = "127.0.0.1:1"
insecure = true
"""
FILES = {
    ".gitignore": "*.secret.py\ndata/ignored/\n",
    ".editorconfig": "root = true",
    "LICENSE": "Apache-2.0",
    "README.md": "# Odd",
    "odd/__init__.py": "",
    "odd/client_app.py": "app = 1",
    "odd/server_app.py": "app = 2",
    "odd/settings.yaml": "a: 1",
    "odd/labels.json": "[]",
    "odd/samples.jsonl": "{}\n",
    "odd/model.pt": "weights",
    "odd/my.secret.py": "",
    "odd/test_client.py": "",
    "odd/venv/__init__.py": "inside = 1",
    "odd/node_modules/tool.py": "inside = 2",
    "odd/lib/c.py": "",
    "odd/__pycache__/client_app.py": "",
    "odd/empty.json": "",
    "build/generated.py": "",
    "data/ignored/record.json": "{}",
    "data/table.csv": "1,2",
    "data/b.toml": "b = 1",
    "venv/lib/package.py": "",
    ".venv/lib/package.py": "",
    "node_modules/tool.json": "{}",
    ".git/refs/heads/branch.md": "0" * 40,
    "größe/märz.py": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An app's folder with all that people have in one."""
    folder = tmp_path / "my-odd-app"
    for name, content in {**FILES, "pyproject.toml": PYPROJECT.format(patterns="")}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "tools.py").write_text("shared = 1")
    for name, target in {
        "odd/dangling.py": "nowhere.py",
        "odd/loop.py": "loop.py",
        "odd/around": "..",
        "odd/inside.py": "client_app.py",
        "odd/absolute.py": str(folder / "odd" / "server_app.py"),
        "odd/outside.py": "../../shared/tools.py",
        "odd/elsewhere": str(tmp_path / "shared"),
    }.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(folder)  # the path of a socket is a short one
        listener.bind("socket")
        os.chdir(before)
    return folder


def built_by_flower(folder: Path, flower: Flower) -> bytes:
    """Return what `flwr build` makes of the folder itself."""
    home = folder.parent / "native"
    home.mkdir()
    subprocess.run(
        flower.command("flwr", "build", "--app", str(folder)),
        cwd=home,
        env=dict(flower.environment(home / "flwr")),
        check=True,
        capture_output=True,
    )
    (fab,) = home.glob("*.fab")
    return fab.read_bytes()


def hash_of(fab: bytes) -> str:
    return hashlib.sha256(fab).hexdigest()


@pytest.fixture(
    params=[NEWEST, "1.32.1", pytest.param("1.26.1", marks=pytest.mark.thorough), "1.22.0"]
)
def any_flower(request: pytest.FixtureRequest, flower: Flower) -> Flower:
    return flower if request.param == NEWEST else installed(request.param)


@pytest.fixture(params=[False, True], ids=["copied as a whole", "large"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the folder is larger than what is copied as a whole."""
    if request.param:
        # All sources, and some of the rest.
        monkeypatch.setattr(app_module, "_COPIED_BYTES", 900)
    large: bool = request.param
    return large


def test_the_app_is_the_one_that_flower_builds(
    folder: Path, any_flower: Flower, large: bool
) -> None:
    fab = build(folder, any_flower)
    for name in ("dangling.py", "loop.py"):  # Flower itself stumbles over them until 1.22
        (folder / "odd" / name).unlink()
    assert hash_of(fab) == hash_of(built_by_flower(folder, any_flower))


@pytest.mark.parametrize(
    "patterns",
    [
        'fab-exclude = ["venv/**", "data/**", ".gitignore", ".editorconfig"]',
        'fab-include = ["odd/**/*.py", "odd/*.json"]',
    ],
)
def test_an_app_that_names_its_files_is_the_one_that_flower_builds(
    folder: Path, flower: Flower, patterns: str, large: bool
) -> None:
    (folder / "pyproject.toml").write_text(PYPROJECT.format(patterns=patterns))
    for environment in ("venv", ".venv"):
        (folder / environment / "pyvenv.cfg").touch()
    assert hash_of(build(folder, flower)) == hash_of(built_by_flower(folder, flower))


def test_an_app_that_flower_refuses_for_its_size_is_refused(folder: Path, flower: Flower) -> None:
    noise = random.Random(1).randbytes(12 << 20)  # noqa: S311 (no secret)
    (folder / "odd" / "data.jsonl").write_bytes(noise)
    with pytest.raises(AppError, match="exceeds maximum allowed size"):
        build(folder, flower)


def test_data_beside_the_app_is_not_copied(folder: Path, flower: Flower, tmp_path: Path) -> None:
    with (folder / "data" / "scans.bin").open("wb") as file:
        file.truncate(50 << 30)
    copy = copy_app(folder, tmp_path / "copy", flower)
    assert copy.stand_ins == {"data/scans.bin"}
    size = sum(path.stat().st_size for path in copy.folder.rglob("*") if path.is_file())
    assert size < 1 << 20
    assert hash_of(build(copy.folder, flower)) == hash_of(built_by_flower(folder, flower))
