"""The vantage6 that the tests share; each part is started when the first test needs it."""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from integration_tests.vantage6 import containers, program
from integration_tests.vantage6.busy import PROBE
from integration_tests.vantage6.stack import Collaboration, Stack, running_stack

# The stack of this session, once it runs.
STACK = pytest.StashKey[Stack]()


@pytest.fixture(scope="session")
def vantage6(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A server with its collaborations, and no node yet."""
    if reason := containers.unusable():
        unavailable(f"Docker cannot be used: {reason}")
    if not program.PYTHON.exists():
        unavailable("there is no .venv-vantage6: `make .venv-vantage6/installed` makes it")
    with running_stack() as stack:
        request.session.stash[STACK] = stack
        yield stack


@pytest.fixture(scope="session")
def plain(vantage6: Stack) -> Collaboration:
    """The unencrypted collaboration; all nodes are online."""
    vantage6.plain.start()
    return vantage6.plain


@pytest.fixture(scope="session")
def encrypted(vantage6: Stack) -> Collaboration:
    """The encrypted collaboration; all nodes are online."""
    vantage6.encrypted.start()
    return vantage6.encrypted


@pytest.fixture(scope="session")
def probe(vantage6: Stack) -> str:
    """An algorithm's image: `probe/probe.py`."""
    return vantage6.build(PROBE, "probe")


def unavailable(reason: str) -> NoReturn:
    """Skip; where the tests decide what may land, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
