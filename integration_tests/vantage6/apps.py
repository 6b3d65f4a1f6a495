"""Images of the apps in `integration_tests/apps`."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from integration_tests.harness import APPS, finish, start
from integration_tests.vantage6 import containers
from integration_tests.vantage6.stack import Stack

ImageOf = Callable[[str], str]

# What apps compute with. In another release the last bits may differ from those of a native run.
_ARITHMETIC = ("numpy", "scikit-learn", "scipy", "torch")
# Most of it is PyTorch.
_BUILD_SECONDS = 1800.0


@pytest.fixture(scope="session")
def image_of(vantage6: Stack, tmp_path_factory: pytest.TempPathFactory) -> ImageOf:
    """Build an app's image, when it is first asked for; returns what it is called."""
    return image_builder(vantage6.session, tmp_path_factory.mktemp("images"))


def image_builder(session: str, folder: Path) -> ImageOf:
    """Return what builds an app's image when it is first asked for.

    Parameters
    ----------
    session : str
        Of the stack that removes the images at its end.
    folder : Path
        Where the builds leave their logs.
    """
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{each}=={version(each)}\n" for each in _ARITHMETIC))

    @cache
    def image(app: str) -> str:
        name = containers.image_name(session, app)
        building = start(
            *("image", str(APPS / app), "--tag", name),
            log=folder / f"{app}.log",
            environment={"PIP_CONSTRAINT": str(constraints)},
        )
        finish(building, _BUILD_SECONDS)
        assert building.exit_code == 0, building.log_tail()
        return name

    return image
