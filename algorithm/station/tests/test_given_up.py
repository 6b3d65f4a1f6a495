"""ClientApps that Flower has given up do not pile up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.flower.programs import CLIENTAPP, SUPEREXEC
from algorithm.station.given_up import end_given_up
from algorithm.tests.programs import Parent
from proxy.tests.helpers import wait_until


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    parent = Parent(tmp_path)
    yield parent
    parent.end()


def test_only_the_newest_two_go_on(parent: Parent) -> None:
    pids = [parent.start(CLIENTAPP) for _ in range(4)]
    end_given_up(parent.pid)
    wait_until(lambda: [*map(parent.runs, pids)] == [False, False, True, True])


def test_other_programs_go_on(parent: Parent) -> None:
    pids = [parent.start(SUPEREXEC) for _ in range(4)]
    end_given_up(parent.pid)
    assert all(map(parent.runs, pids))


def test_what_belongs_to_another_supernode_goes_on(parent: Parent) -> None:
    pids = [parent.start(CLIENTAPP) for _ in range(4)]
    end_given_up(pids[0])
    assert all(map(parent.runs, pids))
