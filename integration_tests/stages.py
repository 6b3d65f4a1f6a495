"""What resident stations and their central have between them in tests: a lane of each kind.

A test that names the fixture `stage`, parametrized with names of the others, runs on each lane.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

from integration_tests.harness import free_port
from integration_tests.lanes import (
    Broker,
    SshServer,
    environment,
    kafka_broker,
    s3_server,
    ssh_server,
    webdav_server,
)

NAMES = ("north", "south", "west")
EVERY = (
    "local_folder",
    "sftp_folder",
    "s3_folder",
    "webdav_folder",
    "kafka_topics",
    "https_server",
)


@dataclass(frozen=True)
class Stage:
    """What a lane stands on.

    Attributes
    ----------
    lane : str
        Its URL.
    environment : Mapping[str, str]
        What processes at both ends need.
    left : Callable[[], int]
        How many letters lie there.
    """

    lane: str
    environment: Mapping[str, str]
    left: Callable[[], int]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture(scope="module")
def webdav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with webdav_server(tmp_path_factory.mktemp("webdav")) as settings:
        yield settings


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with kafka_broker(tmp_path_factory.mktemp("kafka") / "data") as broker:
        yield broker


@pytest.fixture
def local_folder(tmp_path: Path) -> Stage:
    share = tmp_path / "share"
    share.mkdir()
    return Stage(f"folder:{share}", environment(), lambda: files_below(share))


@pytest.fixture
def sftp_folder(sshd: SshServer) -> Stage:
    share = sshd.folder / "share"
    shutil.rmtree(share, ignore_errors=True)
    home = environment(HOME=str(sshd.home))
    return Stage(f"folder:{sshd.url}", home, lambda: files_below(share))


@pytest.fixture
def s3_folder(s3: dict[str, Any]) -> Stage:
    store = fsspec.filesystem("s3", **s3, use_listings_cache=False)
    bucket = f"bucket-{uuid.uuid4().hex}"
    store.mkdir(bucket)
    variables = environment(FSSPEC_S3=json.dumps(s3))
    return Stage(f"folder:s3://{bucket}/lanes", variables, lambda: len(store.find(bucket)))


@pytest.fixture
def webdav_folder(webdav: dict[str, Any]) -> Stage:
    store, folder = fsspec.filesystem("webdav", **webdav), uuid.uuid4().hex
    variables = environment(FSSPEC_WEBDAV=json.dumps(webdav))
    return Stage(f"folder:webdav://{folder}", variables, lambda: len(store.find(folder)))


@pytest.fixture
def kafka_topics(broker: Broker) -> Stage:
    lane = broker.lane(*NAMES)
    return Stage(lane, environment(), lambda: broker.records(lane, *NAMES))


@pytest.fixture
def https_server(tmp_path: Path) -> Stage:
    """Nothing lies in between: letters are in the central's temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = environment(TMPDIR=str(temporary))
    return Stage(f"https://127.0.0.1:{free_port()}", variables, lambda: files_below(temporary))


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    made: Stage = request.getfixturevalue(request.param)
    return made


def files_below(folder: Path) -> int:
    """Return how many files are in a folder and in those below."""
    return len([path for path in folder.rglob("*") if path.is_file()])
