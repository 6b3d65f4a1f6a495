"""A copy of an app's folder: Flower builds the same app of it, and data is not copied for that.

That the app is the same for real is in `integration_tests/test_app_folder.py`.
"""

import os
from pathlib import Path

import pytest

from algorithm.flower import app as app_module
from algorithm.flower.app import copy_app
from algorithm.flower.environment import Flower
from algorithm.tests.fake_flower import flower_that_takes, make_app, make_flower
from proxy.errors import AppError


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return make_app(tmp_path / "my app")


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


# A folder as most are


def test_a_copy_has_all_files_whatever_they_are_called(app: Path, tmp_path: Path) -> None:
    for name in ("pkg/venv/a.py", "pkg/node_modules/b.py", ".git/c", "venv/d.py", "e.bin"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(name)
    copy = copy_app(app, tmp_path / "copy", None)
    assert contents(copy.folder) == contents(app)
    assert copy.stand_ins == frozenset()


def test_what_is_done_to_a_copy_is_not_done_to_the_app(app: Path, tmp_path: Path) -> None:
    before = contents(app)
    copy = copy_app(app, tmp_path / "copy", None)
    for path in copy.folder.iterdir():
        with path.open("a") as file:
            file.write("more")
    assert contents(app) == before


def test_what_is_no_file_is_left_out(app: Path, tmp_path: Path) -> None:
    os.mkfifo(app / "pipe.py")
    (app / "dangling.py").symlink_to("nowhere")
    (app / "loop.py").symlink_to("loop.py")
    copy = copy_app(app, tmp_path / "copy", None)
    assert {path.name for path in copy.folder.iterdir()} == {"pyproject.toml", "app.py"}


def test_a_virtual_environment_is_left_out(app: Path, tmp_path: Path) -> None:
    for name in (".venv/pyvenv.cfg", ".venv/lib/a.py", "pkg/env/pyvenv.cfg", "pkg/env/bin/b"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).touch()
    copy = copy_app(app, tmp_path / "copy", None)
    assert contents(copy.folder).keys() == {"pyproject.toml", "app.py"}


def test_what_a_run_leaves_in_the_apps_folder_is_left_out(app: Path, tmp_path: Path) -> None:
    for name in ("results/run.json", "pkg/course/flwr/apps/a.py"):
        (app / name).parent.mkdir(parents=True)
        (app / name).touch()
    copy = copy_app(app, tmp_path / "copy", None, [app / "results", app / "pkg" / "course"])
    assert contents(copy.folder).keys() == {"pyproject.toml", "app.py"}
    assert contents(copy_app(app, tmp_path / "all", None, [app]).folder) == contents(app)


def test_a_virtual_environment_that_a_pattern_may_name_is_there(app: Path, tmp_path: Path) -> None:
    (app / "venv").mkdir()
    (app / "venv" / "pyvenv.cfg").touch()
    with (app / "pyproject.toml").open("a") as pyproject:
        pyproject.write('[tool.flwr.app]\nfab-exclude = ["venv/**"]\n')
    assert (copy_app(app, tmp_path / "copy", None).folder / "venv" / "pyvenv.cfg").exists()


@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_within_the_app_is_one_within_the_copy(
    app: Path, tmp_path: Path, absolute: bool
) -> None:
    (app / "pkg").mkdir()
    (app / "pkg" / "link.py").symlink_to(app / "app.py" if absolute else "../app.py")
    copy = copy_app(app, tmp_path / "copy", None)
    link = copy.folder / "pkg" / "link.py"
    assert link.is_symlink()
    assert link.resolve() == copy.folder / "app.py"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_out_of_the_app_leads_where_it_led(
    app: Path, tmp_path: Path, absolute: bool
) -> None:
    (tmp_path / "shared").mkdir()
    (app / "link").symlink_to(tmp_path / "shared" if absolute else "../shared")
    copy = copy_app(app, tmp_path / "elsewhere" / "copy", None)
    assert (copy.folder / "link").is_symlink()
    assert (copy.folder / "link").resolve() == tmp_path / "shared"


def test_links_that_lead_around_are_not_followed(app: Path, tmp_path: Path) -> None:
    (app / "around").symlink_to(".")
    copy = copy_app(app, tmp_path / "copy", None)
    assert (copy.folder / "around").is_symlink()


# A large folder


@pytest.fixture
def large_app(app: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app with files beside its sources that are too large to be copied unasked."""
    monkeypatch.setattr(app_module, "_COPIED_BYTES", 1000)
    for name in ("labels.json", "scans.bin"):
        (app / name).write_text("x" * 2000)
    return app


def test_of_a_large_folder_what_flower_takes_is_copied_and_the_rest_is_there_by_name(
    large_app: Path, tmp_path: Path
) -> None:
    flower = flower_that_takes(tmp_path, "app.py", "labels.json", ".info/CONTENT")
    copy = copy_app(large_app, tmp_path / "copy", flower)
    assert copy.stand_ins == {"scans.bin"}
    assert contents(copy.folder) == contents(large_app) | {"scans.bin": ""}


def test_the_sources_are_copied_before_anything_else(app: Path, tmp_path: Path) -> None:
    (app / "data").mkdir()
    for number in range(100):
        (app / "data" / f"{number}.csv").write_text("1")
    room = len((app / "pyproject.toml").read_bytes()) + len((app / "app.py").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "_COPIED_BYTES", room)
        copy = copy_app(app, tmp_path / "copy", flower_that_takes(tmp_path, "app.py"))
    assert (copy.folder / "app.py").read_text() == (app / "app.py").read_text()
    assert len(copy.stand_ins) == 100


def test_an_app_that_flower_refuses_is_refused_in_flowers_words(
    large_app: Path, tmp_path: Path
) -> None:
    flower = Flower(make_flower(tmp_path / "flower", build="echo no publisher; exit 1"))
    with pytest.raises(AppError, match="no publisher") as caught:
        copy_app(large_app, tmp_path / "copy", flower)
    assert str(large_app) in caught.value.message


def test_without_a_flower_to_ask_a_large_folder_is_refused(large_app: Path, tmp_path: Path) -> None:
    with pytest.raises(AppError) as caught:
        copy_app(large_app, tmp_path / "copy", None)
    assert "no Flower here" in caught.value.message
    assert "keep data outside" in caught.value.hint
