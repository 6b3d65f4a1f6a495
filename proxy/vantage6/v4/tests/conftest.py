"""The server that the tests talk to."""

from collections.abc import Iterator

import pytest

from proxy.vantage6.v4.testing import FakeServer


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake
