"""A vantage6 4.15 server whose database is PostgreSQL's, which the bridge need not know."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from integration_tests.vantage6.apps import ImageOf, image_builder
from integration_tests.vantage6.runs import (
    APPS,
    PER_ROUND,
    WARM,
    Config,
    Natively,
    Researcher,
    read,
)
from integration_tests.vantage6.stack import Collaboration, Stack, running_stack

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def on_postgresql(vantage6: Stack) -> Iterator[Stack]:
    """A stack of its own; `vantage6` says whether there can be one."""
    with running_stack(on_postgresql=True) as stack:
        stack.plain.start()
        stack.encrypted.start()
        yield stack


@pytest.fixture(scope="module")
def image_here(on_postgresql: Stack, tmp_path_factory: pytest.TempPathFactory) -> ImageOf:
    """Build an app's image, when it is first asked for; returns what it is called."""
    return image_builder(on_postgresql.session, tmp_path_factory.mktemp("images"))


@pytest.fixture
def researcher(flower: Flower, image_here: ImageOf, tmp_path: Path) -> Researcher:
    """A researcher with a folder for this test."""
    return Researcher(flower, image_here, tmp_path)


@pytest.mark.parametrize(
    ("app", "where", "way"),
    [("stateful", "plain", WARM), ("queries", "encrypted", PER_ROUND)],
)
def test_an_app_ends_as_natively(
    app: str,
    where: str,
    way: tuple[str, ...],
    natively: Natively,
    researcher: Researcher,
    on_postgresql: Stack,
) -> None:
    collaboration: Collaboration = getattr(on_postgresql, where)
    submission = researcher.submits(app, APPS[app], collaboration, *way)
    assert submission.exit_code == 0, submission.log_tail(60)
    assert read(researcher.output / str(APPS[app]["result"])) == natively(app, APPS[app])


def test_a_large_model_passes_both_ways(
    natively: Natively, researcher: Researcher, on_postgresql: Stack
) -> None:
    config: Config = {"megabytes": 100, "evaluate": False, "result": Path("result.json")}
    submission = researcher.submits("large", config, on_postgresql.plain, *WARM)
    assert submission.exit_code == 0, submission.log_tail(60)
    ended = read(researcher.output / "result.json")
    assert ended["sha256"] == natively("large", config)["sha256"]
