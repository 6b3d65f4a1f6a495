"""The vantage6 5 that other tests stand on is a real one, and nothing is left of it.

What 5.0.3 does wrong, and the bridge has to live with, is shown here: each test of a defect fails
with the release that mends it.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from integration_tests.harness import alive, descendants, wait_until
from integration_tests.vantage6 import containers
from integration_tests.vantage6_5.busy import keep_busy
from integration_tests.vantage6_5.cluster import Cluster
from integration_tests.vantage6_5.keycloak import DEVICE_GRANT, USERS_CLIENT
from integration_tests.vantage6_5.node import Node
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.stack import Collaboration, Stack, running_stack

# Long after the node has asked for what ended.
_LOST_SECONDS = 10.0


@pytest.fixture(params=["plain_5", "encrypted_5"])
def collaboration(request: pytest.FixtureRequest) -> Collaboration:
    """Each of the two collaborations."""
    found: Collaboration = request.getfixturevalue(request.param)
    return found


def holds(node: Node, researcher: Researcher, task: int) -> None:
    """Wait until the function `hold` of a task runs."""
    mark = node.session_folder(researcher.session) / f"holding-{task}"
    wait_until(mark.exists, "its container runs")


def test_a_container_asks_other_stations_through_its_node(
    collaboration: Collaboration, probe_5: str
) -> None:
    first, *others = collaboration.organizations
    researcher = Researcher(collaboration)
    task = researcher.create(probe_5, "ask", first.id, organizations=[each.id for each in others])
    answers = researcher.result(task)
    assert [answer["action"] for answer in answers] == ["federated_compute"] * 2
    assert [answer["token"] for answer in answers] == [False] * 2


def test_a_session_extracts_a_database_for_later_tasks(
    collaboration: Collaboration, probe_5: str
) -> None:
    researcher, organizations = Researcher(collaboration), collaboration.organizations
    ids = [each.id for each in organizations]
    frame = researcher.extract(probe_5, "extract", "default", ids)
    task = researcher.create(
        probe_5, "look", ids[1], action="federated_compute", dataframes=[frame]
    )
    answer = researcher.result(task)
    assert answer["table"][1] == f"{organizations[1].name},0"
    assert answer["dataframes"]
