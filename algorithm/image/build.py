"""`flower-v6 image`: builds the vantage6 algorithm image of a Flower app.

Everything about the image is in `images/Dockerfile`. Here its context is made: the bridge as it is
installed, a copy of the app, and what pip needs to know.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import algorithm
import protos
import proxy
from algorithm.flower import strict_toml
from algorithm.flower.app import check_app, copy_app
from algorithm.flower.environment import Flower
from algorithm.flower.manifest import Manifest
from algorithm.image.pip_settings import write_pip_settings
from algorithm.image.store_entry import store_entry
from proxy.errors import AppError, BridgeError, FlowerError, UsageError
from proxy.fleet.releases import era_of
from proxy.system.process import Process, Workspace

BASE_IMAGE = "python:3.11-slim-bookworm"
_PACKAGES = (protos, proxy, algorithm)
# Nobody looks at a screen there.
_FOR_TERMINALS = "rich"
_NOT_IN_IMAGES = shutil.ignore_patterns("tests", "__pycache__", "*.pyi")
# Where the Dockerfile has pip's settings, and the manifest.
_PIP_FOLDER = PurePosixPath("/context/pip")
_MANIFEST = "/opt/app/manifest.json"
_LOOK_SECONDS = 0.1
# The extra brings what only simulations on one machine need.
_SIMULATION = re.compile(r"^(flwr\s*)\[\s*simulation\s*\]", re.IGNORECASE)


class ImageError(BridgeError):
    """An image could not be built."""

    code = "image"


@dataclass(frozen=True)
class Image:
    """An image that was built.

    Attributes
    ----------
    name : str
        As vantage6 tasks name it.
    size : int
        In bytes, its base included.
    manifest : Manifest
        The one in it.
    store_entry : Mapping[str, Any]
        What an algorithm store may say of it.
    """

    name: str
    size: int
    manifest: Manifest
    store_entry: Mapping[str, Any]


def release_beside_the_bridge() -> str:
    """Return the release of the Flower that the bridge would use here; empty if there is none."""
    flower = _flower_beside_the_bridge()
    return flower.release if flower else ""


def _flower_beside_the_bridge() -> Flower | None:
    try:
        return Flower.from_environment()
    except FlowerError:
        return None


def build_image(
    app: Path,
    name: str,
    flwr: str,
    base_image: str,
    show: Callable[[str], None],
    chart: str = "",
) -> Image:
    """Build an image.

    Parameters
    ----------
    app : Path
        The app's folder.
    name : str
        The image's, with its tag.
    flwr : str
        The release of Flower in it; empty for the one that the app's requirements lead to.
    base_image : str
        Has Python 3.11 or newer, its `venv` module and pip.
    show : Callable[[str], None]
        Gets what Docker says, line by line.
    chart : str
        The metric that vantage6's web interface draws; empty for none.

    Raises
    ------
    BridgeError
        If that fails.
    """
    check_app(app)
    described = _described(app)
    project = described["project"]
    if flwr:
        era_of(flwr)
    _check_docker()
    with Workspace() as workspace:
        context = workspace.path / "context"
        beside = _flower_beside_the_bridge()
        stand_ins = _write_context(app, project, context, beside)
        arguments = {"FLWR_VERSION": flwr, "BASE_IMAGE": base_image, "CHART": chart}
        # Without force-rm a failed build leaves a container behind.
        command = ["docker", "build", "--force-rm", "--tag", name]
        for argument, value in arguments.items():
            command += ["--build-arg", f"{argument}={value}"]
        _build([*command, str(context)], workspace.path / "build.log", show)
    manifest = Manifest.parse(
        _ask("run", "--rm", "--network=none", "--entrypoint=cat", name, _MANIFEST)
    )
    if beside is not None and (lacking := sorted(stand_ins & manifest.files.keys())):
        raise ImageError(
            f"The app lacks {lacking[0]} in the image: flwr {manifest.flwr} takes it, flwr"
            f" {beside.release} beside the bridge does not.",
            f"Build with --flwr {beside.release}, or keep data outside of the app's folder.",
        )
    size = int(_ask("image", "inspect", "--format={{.Size}}", name))
    return Image(name, size, manifest, store_entry(name, manifest, described))


def _check_docker() -> None:
    if shutil.which("docker") is None:
        raise UsageError(
            "The docker command is not installed on this machine.",
            "Install Docker to build images.",
        )
    try:
        _ask("version", "--format={{.Server.Version}}")
    except ImageError as error:
        raise UsageError(
            f"Docker's daemon does not answer: {error.message}",
            "Start Docker, or let this user use it (group docker).",
        ) from error


def _write_context(
    app: Path, project: Mapping[str, Any], context: Path, flower: Flower | None
) -> frozenset[str]:
    """Write all that the Dockerfile refers to; returns which files of the app are stand-ins."""
    for name in ("bridge", "app", "pip"):
        (context / name).mkdir(parents=True)
    (context / "Dockerfile").write_bytes(files("images").joinpath("Dockerfile").read_bytes())
    for package in _PACKAGES:
        source = Path(package.__path__[0])
        target = context / "bridge" / "packages" / source.name
        shutil.copytree(source, target, ignore=_NOT_IN_IMAGES)
    ours = [
        requirement
        for requirement in importlib.metadata.requires("flower-v6") or []
        if "extra ==" not in requirement and not requirement.startswith(_FOR_TERMINALS)
    ]
    _write_lines(context / "bridge" / "requirements.txt", ours)
    copy = copy_app(app, context / "app", flower)
    # The app's history is not for all who get the image.
    shutil.rmtree(copy.folder / ".git", ignore_errors=True)
    copy.folder.rename(context / "app" / project["name"])
    theirs = [
        _SIMULATION.sub(r"\1", requirement) for requirement in project.get("dependencies", [])
    ]
    _write_lines(context / "app" / "requirements.txt", theirs)
    write_pip_settings(context / "pip", _PIP_FOLDER)
    return copy.stand_ins


def _described(app: Path) -> dict[str, Any]:
    """Return what is in an app's pyproject.toml; it has a valid section [project]."""
    described = strict_toml.loads((app / "pyproject.toml").read_text("utf-8"))
    name = described.get("project", {}).get("name")
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise AppError(
            f"{app} is no Flower app: its pyproject.toml has no valid project name.",
            "Set name in the section [project].",
        )
    return described


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _build(command: Sequence[str], log: Path, show: Callable[[str], None]) -> None:
    building = Process(command, os.environ, log)
    try:
        with log.open(encoding="utf-8", errors="replace") as output:
            ended = False
            while not ended:
                ended = building.wait(_LOOK_SECONDS)
                while line := output.readline():
                    show(line.rstrip("\n"))
        if building.exit_code:
            raise ImageError(
                f"The image was not built; docker ended with exit code {building.exit_code}.",
                f"The end of its output:\n{building.log_tail()}",
            )
    finally:
        building.stop()


def _ask(*arguments: str) -> str:
    """Return what a docker command prints."""
    completed = subprocess.run(
        ["docker", *arguments],  # noqa: S607 (whichever docker the user has)
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if completed.returncode:
        raise ImageError(f"`docker {arguments[0]}` failed: {completed.stderr.strip()}")
    return completed.stdout
