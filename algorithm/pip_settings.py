"""Where this machine's pip finds packages, for a pip that runs elsewhere: in an image's build.

A hospital's package mirror, its certificate and folders of wheels are configured once, for pip, in
its files or in PIP_* variables. What `pip config list` says of them is made to hold in the build.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

# What is passed on as it is, but for parts that are folders of this machine.
_PLACES = ("index-url", "extra-index-url", "find-links")
_PLAIN = ("trusted-host", "proxy", "timeout", "default-timeout", "retries", "no-index")
_FILES = ("cert", "client-cert", "constraint")
_WHEELS = ("*.whl", "*.tar.gz")


def write_pip_settings(folder: Path, there: PurePosixPath) -> None:
    """Write pip's configuration, and the files that it names, into a folder.

    Parameters
    ----------
    folder : Path
        An existing folder; afterwards `pip.conf` is in it.
    there : PurePosixPath
        Where the folder will be when `pip.conf` is used.
    """
    settings = _settings()
    wheels = folder / "wheels"
    wheels.mkdir()
    lines = []
    for name in _PLAIN:
        if name in settings:
            lines.append(f"{name} = {settings[name]}")
    for name in _FILES:
        if files := [
            path for each in settings.get(name, "").split() if (path := Path(each)).exists()
        ]:
            target = folder / name
            target.write_bytes(b"\n".join(path.read_bytes() for path in files))
            lines.append(f"{name} = {there / name}")
    for name in _PLACES:
        places = settings.get(name, "").split()
        remote = [each for each in places if "://" in each and not each.startswith("file:")]
        if name == "find-links":
            for each in places:
                for pattern in _WHEELS:
                    for wheel in Path(each.removeprefix("file://")).glob(pattern):
                        shutil.copy(wheel, wheels)
            remote.append(str(there / "wheels"))
        if remote:
            lines.append(f"{name} = {' '.join(remote)}")
    (folder / "pip.conf").write_text("\n".join(["[global]", *lines]) + "\n")


def _settings() -> Mapping[str, str]:
    """Return what the pip of this environment is told, variables before files."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", "install", ":env:") and value:
            target = from_environment if section == ":env:" else found
            target[key] = str(ast.literal_eval(value))
    return {**found, **from_environment}
