"""How the tests of this package use hypothesis, and the server that they talk to."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from proxy.vantage6.testing import FakeServer

# Time is never asserted, nor is it in what hypothesis reports.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake
