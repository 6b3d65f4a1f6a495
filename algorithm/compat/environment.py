"""Flower environments and wheels of any release, in a folder of ours; each is made once."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.errors import FlowerError
from proxy.fleet.releases import era_of, version_of
from proxy.system.locks import locked

_VERSIONS = re.compile(r"Available versions: (.*)")
_FINAL = re.compile(r"[0-9.]+")
# What the app of `algorithm/compat/app` imports besides.
_APP_NEEDS = ("numpy",)


def released(package: str = "flwr", any_python: bool = False) -> list[str]:
    """Return all final releases of a package that the package index has, oldest first.

    Parameters
    ----------
    package : str
        Its name.
    any_python : bool
        Whether those count, too, that this Python cannot run.

    Raises
    ------
    FlowerError
        If the index does not answer.
    """
    more = ("--ignore-requires-python",) if any_python else ()
    answer = _pip("index", "versions", *more, package)
    match = _VERSIONS.search(answer)
    if match is None:
        raise FlowerError(f"The package index names no releases of {package}: {answer}")
    versions = [version for version in match[1].split(", ") if _FINAL.fullmatch(version)]
    return sorted(versions, key=version_of)


def is_nightly(release: str) -> bool:
    """Whether a release is a nightly one, for example "1.43.0.dev20261026"."""
    return re.fullmatch(r"[0-9]+(\.[0-9]+)*\.dev[0-9]+", release) is not None


def _package(release: str) -> str:
    """Return the distribution that a release is of."""
    return "flwr-nightly" if is_nightly(release) else "flwr"


def wheel(release: str, cache: Path) -> Path:
    """Return a release's wheel; it is downloaded if the cache has none.

    Raises
    ------
    FlowerError
        If it cannot be downloaded.
    """
    return wheel_of(_package(release), release, cache)


def wheel_of(package: str, release: str, cache: Path) -> Path:
    """Return the wheel of any package, to be read; raises as `wheel` does."""
    folder = cache / "wheels"
    name = f"{package.replace('-', '_')}-{release}-py3-none-any.whl"
    with _alone(folder / release):
        if not (folder / name).exists():
            only = ("--no-deps", "--ignore-requires-python", "--only-binary", package)
            _pip("download", *only, "--dest", str(folder), f"{package}=={release}")
    return folder / name


def environment(release: str, cache: Path) -> Path:
    """Return a virtual environment with a release; it is made if the cache has none.

    A release whose dependencies cannot be had gets those of the newest one before it that can be
    installed.

    Raises
    ------
    FlowerError
        If it cannot be installed.
    """
    folder = cache / release
    with _alone(folder):
        complete = folder / "installed"
        if not complete.exists():
            _check_free(folder)
            more, package = (*_APP_NEEDS, *era_of(release).packages), _package(release)
            # Our own pip installs into it; one of its own would take seconds to make.
            _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder))
            try:
                _pip("install", f"{package}=={release}", *more, into=folder)
            except FlowerError:
                _pip("install", f"{package}<{release}", *more, into=folder)
                _pip("install", "--no-deps", f"{package}=={release}", into=folder)
            complete.touch()
    return folder


def _check_free(folder: Path) -> None:
    """Refuse to clear a folder that is not ours: behind a link, or with something else in it."""
    ours = folder.is_dir() and (folder / "pyvenv.cfg").is_file()
    if folder.is_symlink() or (folder.exists() and not ours and any(folder.iterdir())):
        raise FlowerError(
            f"{folder} is not a Python environment that flower-v6 made.",
            "It would be cleared. Remove it, or name another folder (--cache).",
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others, who may want the same at once, waiting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f"{path.name}.lock")):
        yield


def _pip(command: str, *arguments: str, into: Path | None = None) -> str:
    """Run pip, on its own environment or another; returns what it says."""
    target = ("--python", str(into)) if into else ()
    return _run(
        *(sys.executable, "-m", "pip", *target, command),
        *("--disable-pip-version-check", *arguments),
    )


def _run(*command: str) -> str:
    """Run a command to its end; returns what it says."""
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines()
        reason = lines[-1] if lines else f"exit code {ended.returncode}"
        raise FlowerError(f"`{' '.join(command)}` failed: {reason}")
    return ended.stdout
