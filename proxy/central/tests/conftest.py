"""One message on its way through a carrier that is watched."""

from pathlib import Path

import pytest

from proxy.central.tests.deliveries import WatchedCarrier
from proxy.testing import ProxyPair


@pytest.fixture
def carrier() -> WatchedCarrier:
    return WatchedCarrier()


@pytest.fixture
def pair(carrier: WatchedCarrier, tmp_path: Path) -> ProxyPair:
    return ProxyPair(carrier, tmp_path)
