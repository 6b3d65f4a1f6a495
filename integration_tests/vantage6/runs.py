"""Apps in vantage6, as its researcher runs them, and natively for comparison.

What is here is for both generations: a `Collaboration` of either says how to log in.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    Federation,
    attached_federation,
    finish,
    native_federation,
    run_config,
)
from integration_tests.test_results import arrays, values
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import RUN_SECONDS, Collaboration, login, submit
from proxy.system.process import Process

Config = dict[str, object]
Natively = Callable[[str, Config], Any]

# Paths are those of the files that a run writes. In vantage6 they are relative.
APPS: dict[str, Config] = {
    "stateful": {"num_server_rounds": 2, "result": Path("result.json")},
    "queries": {"result": Path("result.json")},
    "raising": {"num_server_rounds": 2, "result": Path("result.json")},
    "digits": {
        "num_server_rounds": 2,
        "model": Path("model.pt"),
        "result": Path("result.npz"),
    },
}
DIGITS_CSV: Config = {
    "num_server_rounds": 2,
    "model": Path("model.npz"),
    "result": Path("result.json"),
}

WARM = ("--supernodes", "warm")
PER_ROUND = ("--supernodes", "per-round")
ATTACHED = ("attach", "--supernodes", "per-round")
DIRECT = ("--mode", "direct", *WARM)
DIRECT_PER_ROUND = ("--mode", "direct", *PER_ROUND)
WAYS = {
    WARM: "warm",
    PER_ROUND: "per-round",
    ATTACHED: "attached",
    DIRECT: "direct",
    DIRECT_PER_ROUND: "direct-per-round",
}


class Researcher:
    """Runs apps in vantage6.

    Parameters
    ----------
    flower : Flower
        The environment of a SuperLink outside vantage6.
    image_of : ImageOf
        Has the apps' images.
    folder : Path
        Where everything is left.
    """

    def __init__(self, flower: Flower, image_of: ImageOf, folder: Path) -> None:
        self._flower = flower
        self._image_of = image_of
        self.output = folder / "output"

    def submits(
        self, app: str, config: Config, collaboration: Collaboration, *options: str, of: int = 2
    ) -> Process:
        """Run an app at the first organizations, and bring home what it wrote."""
        return submit(
            collaboration,
            self._image_of(app),
            self.output,
            *organizations(collaboration, of),
            *options,
            *("--run-config", run_config(**config, num_stations=of)),
        )

    def attaches(
        self, app: str, config: Config, collaboration: Collaboration, *options: str, of: int = 2
    ) -> Path:
        """Run an app on a SuperLink, with the first organizations as SuperNodes of it."""
        with attached_federation(
            self._flower,
            self.output,
            *("--vantage6", self._image_of(app)),
            *organizations(collaboration, of),
            *options,
            environment=login(collaboration),
        ) as federation:
            return run_on_federation(federation, app, {**config, "num_stations": of})


def organizations(collaboration: Collaboration, count: int) -> list[str]:
    """Return the options that name the first organizations."""
    return ["--organizations", *(each.name for each in collaboration.organizations[:count])]


def run_on_federation(federation: Federation, app: str, config: Config) -> Path:
    """Run an app to its end; returns its result."""
    folder = federation.folder / f"written-{federation.runs}"
    folder.mkdir()
    placed = {
        key: folder / each if isinstance(each, Path) else each for key, each in config.items()
    }
    submission = federation.submit(app, **placed)
    finish(submission, RUN_SECONDS)
    result = folder / str(config["result"])
    assert result.exists(), submission.log_tail(40)
    return result


def read(result: Path) -> Any:
    """Return all that two results may differ in."""
    return arrays(result) if result.suffix == ".npz" else values(result)


def digits_tables(collaboration: Collaboration) -> list[str]:
    """Return node configs with which SuperNodes find what the stations' ClientApps find."""
    return [
        f'database-uri="{node.settings.databases["digits"]}" database-type="csv"'
        for node in collaboration.nodes
    ]


@pytest.fixture(scope="session")
def natively(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Natively:
    """Return what an app ends with on two SuperNodes without the bridge."""
    known: dict[str, Any] = {}

    def result(app: str, config: Config) -> Any:
        key = f"{app} {config}"
        if key not in known:
            with native_federation(flower, tmp_path_factory.mktemp("natively")) as native:
                known[key] = read(run_on_federation(native, app, config))
        return known[key]

    return result
