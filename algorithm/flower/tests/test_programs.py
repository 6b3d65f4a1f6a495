"""It is noticed when nothing starts ServerApps or ClientApps any more."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.flower.programs import CLIENTAPP, SUPEREXEC, SuperExec
from algorithm.tests.programs import Parent
from proxy.testing import FakeClock
from proxy.tests.helpers import wait_until


class Scene:
    """A SuperNode that starts what it is told to, and its SuperExec as it is watched."""

    def __init__(self, folder: Path) -> None:
        self.supernode = Parent(folder)
        self._clock = FakeClock()
        self._superexec = SuperExec(self.supernode.pid, CLIENTAPP, self._clock)

    def looks(self, times: int = 2) -> list[bool]:
        """Return what some looks tell."""
        told = []
        for _ in range(times):
            self._clock.passed += 60.0
            told.append(self._superexec.is_missed())
        return told


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.supernode.end()


def kill(scene: Scene, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not scene.supernode.runs(pid))


def test_a_superexec_that_was_killed_is_missed_from_the_second_look_on(scene: Scene) -> None:
    pid = scene.supernode.start(SUPEREXEC)
    assert scene.looks() == [False, False]
    kill(scene, pid)
    assert scene.looks(3) == [False, True, True]


def test_one_that_was_killed_before_the_first_look_is_missed_too(scene: Scene) -> None:
    # As Flower starts it: its name is that of the script, and stays when it has ended.
    kill(scene, scene.supernode.start(SUPEREXEC, by_name=True))
    assert scene.looks() == [False, True]


def test_it_is_not_missed_while_a_clientapp_runs(scene: Scene) -> None:
    superexec, clientapp = map(scene.supernode.start, (SUPEREXEC, CLIENTAPP))
    assert scene.looks() == [False, False]
    kill(scene, superexec)
    assert scene.looks() == [False, False]
    kill(scene, clientapp)
    assert scene.looks() == [False, True]


def test_where_there_never_was_one_it_is_not_missed(scene: Scene) -> None:
    kill(scene, scene.supernode.start(CLIENTAPP))
    assert scene.looks() == [False, False]


def test_one_that_was_replaced_is_not_missed(scene: Scene) -> None:
    pid = scene.supernode.start(SUPEREXEC)
    assert scene.looks() == [False, False]
    kill(scene, pid)
    assert scene.looks(1) == [False]
    scene.supernode.start(SUPEREXEC)
    assert scene.looks() == [False, False]
