"""The vantage6 5 that the tests share; each part is started when the first test needs it."""

from collections.abc import Iterator

import pytest

from integration_tests.vantage6 import containers
from integration_tests.vantage6.apps import ImageOf, image_builder
from integration_tests.vantage6.fixtures import unavailable
from integration_tests.vantage6_5.busy import PROBE
from integration_tests.vantage6_5.stack import Collaboration, Stack, running_stack


@pytest.fixture(scope="session")
def vantage6_5() -> Iterator[Stack]:
    """HQ with its collaborations, and no node yet."""
    if reason := containers.unusable():
        unavailable(f"Docker cannot be used: {reason}")
    with running_stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def plain_5(vantage6_5: Stack) -> Collaboration:
    """The unencrypted collaboration; all nodes are online."""
    vantage6_5.plain.start()
    return vantage6_5.plain


@pytest.fixture(scope="session")
def encrypted_5(vantage6_5: Stack) -> Collaboration:
    """The encrypted collaboration; all nodes are online."""
    vantage6_5.encrypted.start()
    return vantage6_5.encrypted


@pytest.fixture(scope="session")
def probe_5(vantage6_5: Stack) -> str:
    """An algorithm's image: `probe/probe.py`."""
    return vantage6_5.build(PROBE, "probe")


@pytest.fixture(scope="session")
def image_of_5(vantage6_5: Stack, tmp_path_factory: pytest.TempPathFactory) -> ImageOf:
    """Build an app's image, when it is first asked for; returns what it is called."""
    return image_builder(vantage6_5.session, tmp_path_factory.mktemp("images"))
