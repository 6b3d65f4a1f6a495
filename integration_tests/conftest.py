"""The federations that the tests of one file share, and how tests run side by side.

A federation is started when the first test needs it, and ends with the file: it takes processor
time also when nothing runs on it.
"""

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import requests
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    Direct,
    Federation,
    attached_federation,
    beside_others,
    native_federation,
)
from integration_tests.stages import (
    broker,
    https_server,
    kafka_topics,
    local_folder,
    s3,
    s3_folder,
    sftp_folder,
    sshd,
    stage,
    webdav,
    webdav_folder,
)
from integration_tests.vantage6.apps import image_of
from integration_tests.vantage6.fixtures import STACK, encrypted, plain, probe, vantage6
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.runs import natively
from integration_tests.vantage6_5.fixtures import (
    encrypted_5,
    image_of_5,
    plain_5,
    probe_5,
    vantage6_5,
)

__all__ = [  # fixtures, too
    "broker",
    "encrypted",
    "encrypted_5",
    "https_server",
    "image_of",
    "image_of_5",
    "kafka_topics",
    "local_folder",
    "natively",
    "plain",
    "plain_5",
    "probe",
    "probe_5",
    "s3",
    "s3_folder",
    "sftp_folder",
    "sshd",
    "stage",
    "vantage6",
    "vantage6_5",
    "webdav",
    "webdav_folder",
]
_VANTAGE6 = "vantage6"


def _scope(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return _VANTAGE6 if "vantage6" in path else path


class _BySharedStack(LoadScopeScheduling):  # type: ignore[misc]
    """Runs a file's tests in one process, one after the other; those on a vantage6 all in one.

    Two vantage6s at work at once are too much for two cores.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Let processes of pytest-xdist share the work, but not a stack."""
    return _BySharedStack(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Leave a vantage6 the machine while much starts there at once."""
    with nullcontext() if _scope(item.nodeid) == _VANTAGE6 else beside_others():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """End what a failed test leaves in vantage6, or the load lets those after it fail, too."""
    report = yield
    stack = item.session.stash.get(STACK, None)
    if report.failed and stack is not None:
        for collaboration in (stack.plain, stack.encrypted):
            with suppress(AssertionError, requests.RequestException):  # the server is away
                Researcher(collaboration).kill_what_is_open()
    return report


@pytest.fixture(scope="session")
def flower() -> Flower:
    """The Flower environment that is tested: the one that the tests run in."""
    return Flower(Path(sys.executable).parent.parent)


@pytest.fixture(scope="module")
def native(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Two SuperNodes without the bridge, with Flower's own settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "FLWR_SUPEREXEC_TASK_POLL_INTERVAL", "1.0")
        context = native_federation(flower, tmp_path_factory.mktemp("native"))
        federation = context.__enter__()
    yield federation
    context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def warm(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Two stations of the bridge that keep their SuperNodes warm."""
    with attached_federation(flower, tmp_path_factory.mktemp("warm")) as federation:
        yield federation


@pytest.fixture(scope="module")
def per_round(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Two stations of the bridge that start a SuperNode for each message."""
    folder = tmp_path_factory.mktemp("per-round")
    with attached_federation(flower, folder, "--supernodes", "per-round") as federation:
        yield federation


@pytest.fixture(scope="session")
def direct(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Direct:
    """No SuperLink and no SuperNodes."""
    return Direct(flower, tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="session")
def direct_per_round(flower: Flower, tmp_path_factory: pytest.TempPathFactory) -> Direct:
    """The same, with a process for each message."""
    folder = tmp_path_factory.mktemp("direct-per-round")
    return Direct(flower, folder, ("--supernodes", "per-round"))
