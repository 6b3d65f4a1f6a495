"""The owner of a vantage6 node says under which name its ClientApps know their station."""

from pathlib import Path

import pytest

from algorithm.flower.node_config import STATION_NAME_VARIABLE
from algorithm.station.job import Job
from algorithm.tests.node import Node, encoded
from algorithm.tests.vantage6 import add_subtask
from proxy.tests.helpers import Drained
from proxy.vantage6.v4.testing import FakeServer


@pytest.mark.parametrize("method", ["courier", "per_round"])
def test_a_clientapp_finds_the_name_in_its_node_config(tmp_path: Path, method: str) -> None:
    node, sent = Node(tmp_path), Drained()
    node.environment[STATION_NAME_VARIABLE] = encoded("Harbor Hospital")
    with FakeServer(lambda _: None) as fake:
        node.give_token(fake, add_subtask(fake, fake.start_central(), "host: Beta", 2))
        if method == "courier":
            node.start_host(sent)
        try:
            node.answer(sent, method).close()
        finally:
            node.close()
    configs = [log.read_text() for log in tmp_path.rglob(Job(node.job).supernode_log.name)]
    assert any('station-name = "Harbor Hospital"' in config for config in configs)
