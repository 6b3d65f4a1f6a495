"""`flower-v6 image`: what Docker gets to build from, and what is said when it cannot."""

import json
import os
import shutil
from pathlib import Path

import pytest

from algorithm.cli import main
from algorithm.flower import app as app_module
from algorithm.flower.environment import ENVIRONMENT_VARIABLE
from algorithm.image.build import ImageError, build_image
from algorithm.tests.fabs import MANIFEST
from algorithm.tests.fake_flower import flower_that_takes, make_app
from proxy.errors import AppError, BridgeError, FlowerError, UsageError

PYPROJECT = """
[project]
name = "app"
version = "1"
dependencies = ["flwr[simulation]>=1.41", "numpy"]
[tool.flwr.app]
publisher = "me"
[tool.flwr.app.components]
serverapp = "app:server"
clientapp = "app:client"
"""
# Keeps its arguments and the context, and answers as if there were an image.
DOCKER = """#!/bin/sh
folder=$(dirname "$0")
case $1 in
    version) [ ! -e "$folder/down" ] || { echo "Cannot connect to the daemon" >&2; exit 1; };;
    build) echo "$@" > "$folder/arguments"
        for last; do :; done
        cp -r "$last" "$folder/context"
        echo "Step 1/9"
        [ ! -e "$folder/broken" ] || { echo "No matching distribution"; exit 1; };;
    run) cat "$folder/manifest.json";;
    image) echo 500000000;;
esac
"""


class Bench:
    """A machine with a Docker that does as it is told, and an app."""

    def __init__(self, folder: Path) -> None:
        self.app = make_app(folder / "the app")
        (self.app / "pyproject.toml").write_text(PYPROJECT)
        self.docker = folder / "docker"
        self.docker.mkdir()
        (self.docker / "docker").write_text(DOCKER)
        (self.docker / "docker").chmod(0o755)
        MANIFEST.write(self.docker / "manifest.json")
        self.shown: list[str] = []

    @property
    def context(self) -> Path:
        return self.docker / "context"

    def build(self, flwr: str = "1.41.0") -> None:
        image = build_image(self.app, "app:1", flwr, "base:1", self.shown.append)
        assert (image.name, image.size, image.manifest) == ("app:1", 500_000_000, MANIFEST)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    monkeypatch.setenv("PATH", f"{bench.docker}{os.pathsep}{os.environ['PATH']}")
    # To ask pip takes longer than all else here; its settings have tests of their own.
    monkeypatch.setattr("algorithm.image.pip_settings._settings", dict)
    return bench


# What Docker gets


def test_docker_is_told_the_name_the_release_and_the_base(bench: Bench) -> None:
    bench.build()
    arguments = (bench.docker / "arguments").read_text()
    assert "--tag app:1" in arguments
    assert "--build-arg FLWR_VERSION=1.41.0" in arguments
    assert "--build-arg BASE_IMAGE=base:1" in arguments


def test_the_bridge_comes_as_it_is_installed_without_its_tests(bench: Bench) -> None:
    bench.build()
    packages = bench.context / "bridge" / "packages"
    assert (packages / "algorithm" / "functions" / "per_round.py").exists()
    assert (packages / "proxy" / "client.py").exists()
    assert (packages / "protos" / "fleet_pb2.py").exists()
    assert not list(packages.rglob("test_*"))
    requirements = (bench.context / "bridge" / "requirements.txt").read_text()
    assert "requests" in requirements
    assert "pytest" not in requirements


def test_the_app_comes_under_its_own_name_with_what_it_needs(bench: Bench) -> None:
    (bench.app / ".git").mkdir()
    (bench.app / ".git" / "config").write_text("password")
    bench.build()
    app = bench.context / "app"
    assert sorted(each.name for each in app.iterdir()) == ["app", "requirements.txt"]
    assert sorted(each.name for each in (app / "app").iterdir()) == ["app.py", "pyproject.toml"]
    # Simulations are no business of an image's.
    assert (app / "requirements.txt").read_text() == "flwr>=1.41\nnumpy\n"


def test_an_app_that_lacks_a_file_because_another_release_was_asked_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = flower_that_takes(tmp_path, "app.py")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(beside.folder))
    monkeypatch.setattr(app_module, "_COPIED_BYTES", 1000)
    (name,) = {"app/client.py"} & MANIFEST.files.keys()
    (bench.app / "app").mkdir()
    (bench.app / name).write_text("x" * 2000)
    with pytest.raises(ImageError, match=f"The app lacks {name} in the image") as caught:
        bench.build()
    assert "--flwr 1.41.0" in caught.value.hint


def test_all_that_the_dockerfile_copies_is_there(bench: Bench) -> None:
    bench.build()
    copies = [
        line.split()[1]
        for line in (bench.context / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and not line.startswith("COPY --from")
    ]
    assert copies
    assert all((bench.context / each).exists() for each in copies)


def test_the_user_sees_what_docker_says(bench: Bench) -> None:
    bench.build()
    assert bench.shown == ["Step 1/9"]


# The command


def test_the_command_says_what_it_built_and_leaves_a_store_entry(
    bench: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = tmp_path / "algorithm_store.json"
    assert main(["image", str(bench.app), "--tag", "reg/app:1", "--store", str(store)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "reg/app:1: 500 MB" in last
    assert MANIFEST.fab_sha256 in last
    assert json.loads(store.read_text())["image"] == "reg/app:1"
    five = json.loads((tmp_path / "algorithm_store-5.json").read_text())
    assert five["functions"][0]["step_type"] == "central_compute"


def test_the_command_takes_the_release_beside_it_unless_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWER_V6_FLOWER_ENV", str(tmp_path / "nothing"))
    main(["image", str(bench.app), "--tag", "app:1"])
    assert "FLWR_VERSION= " in (bench.docker / "arguments").read_text()
    shutil.rmtree(bench.context)
    main(["image", str(bench.app), "--tag", "app:1", "--flwr", "1.39.0"])
    assert "FLWR_VERSION=1.39.0 " in (bench.docker / "arguments").read_text()


# What cannot be built


def test_a_failed_build_is_an_error_with_the_end_of_what_docker_said(bench: Bench) -> None:
    (bench.docker / "broken").touch()
    with pytest.raises(ImageError, match="exit code 1") as failed:
        bench.build()
    assert "No matching distribution" in failed.value.hint


def test_a_machine_without_docker_is_told_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bench.app))
    with pytest.raises(UsageError, match="docker command is not installed"):
        bench.build()


def test_a_daemon_that_does_not_answer_is_an_error_in_dockers_words(bench: Bench) -> None:
    (bench.docker / "down").touch()
    with pytest.raises(UsageError, match="Cannot connect to the daemon"):
        bench.build()


@pytest.mark.parametrize(
    ("pyproject", "error"),
    [
        ("[project]\nname = 'a'\n", AppError),
        (PYPROJECT.replace('name = "app"', ""), AppError),
        (PYPROJECT.replace('"app"', '"../app"'), AppError),
    ],
)
def test_what_is_no_flower_app_is_not_built(
    bench: Bench, pyproject: str, error: type[BridgeError]
) -> None:
    (bench.app / "pyproject.toml").write_text(pyproject)
    with pytest.raises(error, match="no Flower app"):
        bench.build()
    assert not bench.context.exists()


def test_a_release_that_the_bridge_does_not_speak_is_not_built(bench: Bench) -> None:
    with pytest.raises(FlowerError):
        bench.build(flwr="1.8.0")
    assert not bench.context.exists()
