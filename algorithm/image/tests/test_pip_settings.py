"""How this machine's pip finds packages holds in an image's build, and nothing else of it."""

import configparser
import os
from pathlib import Path, PurePosixPath

import pytest

from algorithm.image.pip_settings import write_pip_settings

THERE = PurePosixPath("/there")


class Written:
    """What a pip in a build is told."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        write_pip_settings(folder, THERE)
        self.folder = folder
        config = configparser.ConfigParser()
        config.read(folder / "pip.conf")
        self.settings = dict(config["global"])


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    # Other files, of the machine, are read nevertheless; variables come before them.
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    # A machine may name a folder of wheels in them: hundreds of megabytes for each test to copy.
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def test_a_mirror_is_used_in_the_build_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example/simple\n")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "mirror.example")
    written = Written(tmp_path / "pip")
    assert written.settings["index-url"] == "https://mirror.example/simple"
    assert written.settings["trusted-host"] == "mirror.example"


def test_a_variable_comes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://one.example/simple\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://two.example/simple")
    assert Written(tmp_path / "pip").settings["index-url"] == "https://two.example/simple"


def test_files_that_pip_needs_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cert", "constraint")
    for name in names:
        (tmp_path / name).write_text(f"content of {name}")
        monkeypatch.setenv(f"PIP_{name.upper()}", str(tmp_path / name))
    written = Written(tmp_path / "pip")
    for name in names:
        assert written.settings[name] == f"/there/{name}"
        assert (written.folder / name).read_text() == f"content of {name}"


def test_wheels_that_pip_finds_here_come_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "a-1-py3-none-any.whl").touch()
    (wheels / "notes.txt").touch()
    monkeypatch.setenv("PIP_FIND_LINKS", f"{wheels} https://wheels.example/")
    written = Written(tmp_path / "pip")
    assert written.settings["find-links"] == "https://wheels.example/ /there/wheels"
    assert [each.name for each in (written.folder / "wheels").iterdir()] == ["a-1-py3-none-any.whl"]


def test_an_index_that_is_a_folder_here_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{tmp_path} https://more.example/simple")
    written = Written(tmp_path / "pip")
    assert written.settings["extra-index-url"] == "https://more.example/simple"
    assert str(tmp_path) not in (written.folder / "pip.conf").read_text()
