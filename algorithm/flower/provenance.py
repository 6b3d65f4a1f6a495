"""What a run was made of: its config, the central's machine, and what is installed for the app."""

import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from algorithm.flower import strict_toml
from algorithm.flower.node_config import flat

RunConfig: TypeAlias = dict[str, str | int | float | bool]

_MOST_PACKAGES = 1000


def run_config_of(app: Path, overrides: Mapping[str, Any]) -> RunConfig:
    """Return the run config that an app's folder and what overrides it make, by key.

    JSON has neither infinities nor NaN: they are texts.
    """
    declared: Mapping[str, Any] = {}
    # What is no app has no config, as its build says.
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        project = strict_toml.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
        declared = flat(project["tool"]["flwr"]["app"].get("config", {}))
    values = {**declared, **overrides}
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
        if isinstance(value, str | int | float)
    }


def machine() -> dict[str, str]:
    """Return what this machine is, by what it is called: `system`, `machine`, `processors`."""
    system = platform.system()
    with suppress(OSError):
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return {
        "python": platform.python_version(),
        "system": system,
        "machine": platform.machine(),
        "processors": str(os.cpu_count() or ""),
    }


def packages_in(environment: Path) -> dict[str, str]:
    """Return the releases of the packages that are installed in a virtual environment, by name."""
    installed = sorted(environment.glob("lib/python3*/site-packages/*.dist-info"))
    pairs = (path.name.removesuffix(".dist-info").rpartition("-") for path in installed)
    return {name: release for name, _, release in list(pairs)[:_MOST_PACKAGES] if name}
