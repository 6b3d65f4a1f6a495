"""Whoever reads the disk of a store or broker finds no array on it."""

import mmap
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from algorithm.flower.environment import Flower
from algorithm.tests.resident import Residents
from integration_tests.harness import APPS, finish, run_config
from integration_tests.lanes import Broker, environment
from proxy.system.process import Process

# Nothing is removed from the lane, at either end.
KEEPING = (sys.executable, "-m", "integration_tests.disturbed_lane", "kept")
MEGABYTES = 2


def pieces_of_the_model() -> Sequence[bytes]:
    """Return bytes of what the app `large` sends first, from all over it."""
    weights = np.random.default_rng(0).standard_normal(MEGABYTES * 250_000, dtype=np.float32)
    return [weights[place : place + 8].tobytes() for place in range(0, weights.size, 10_000)]


def found(pieces: Sequence[bytes], folder: Path) -> int:
    """Return how many pieces are in the files below a folder."""
    there: set[bytes] = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
                there |= {
                    piece for piece in pieces if any(data.find(form) >= 0 for form in forms(piece))
                }
    return len(there)


def forms(piece: bytes) -> Sequence[bytes]:
    """Return how bytes may stand in a file: as they are, or as `noida-db` writes its JSON."""
    return piece, ",".join(map(str, piece)).encode()


def train(flower: Flower, lane: str, folder: Path, sealed: bool) -> None:
    """Have a station train on a lane; all letters stay there."""
    folder.mkdir()
    residents = Residents(folder, lane, ("north",), flower.folder)
    residents.program = KEEPING
    options = residents.options
    if not sealed:
        file = residents.file("north")
        keys = 'key = "keys/north"\ncentral = "keys/central.pub"\n'
        assert keys in file.read_text()
        file.write_text(file.read_text().replace(keys, "sealed = false\n"))
        options = (*options[:2], "--unsealed")
    result = folder / "result.json"
    config = run_config(result=result, megabytes=MEGABYTES, num_stations=1, evaluate=False)
    with_config = ("--run-config", config)
    with residents.running(environment()):
        run = Process(
            [*KEEPING, "run", str(APPS / "large"), "--mode", "direct", *options, *with_config],
            environment(),
            folder / "run.log",
            grace=20.0,
        )
        finish(run)
    assert run.exit_code == 0, run.log_tail(40)
    assert result.exists()


def test_no_bytes_of_an_array_are_on_the_disk_of_a_kafka_broker(
    flower: Flower, broker: Broker, tmp_path: Path
) -> None:
    """Where letters are not sealed, the same search finds them."""
    if not broker.ours:
        pytest.skip("the broker that is named has its disk elsewhere")
    pieces = pieces_of_the_model()
    train(flower, broker.lane("north"), tmp_path / "sealed", sealed=True)
    broker.stop()  # it has written all then
    assert found(pieces, broker.folder) == 0
    broker.start()
    train(flower, broker.lane("north"), tmp_path / "unsealed", sealed=False)
    broker.stop()
    assert found(pieces, broker.folder) == len(pieces)
    broker.start()


@pytest.mark.thorough
def test_no_bytes_of_an_array_are_in_a_shared_folder(flower: Flower, tmp_path: Path) -> None:
    """Where letters are not sealed, the same search finds them."""
    pieces = pieces_of_the_model()
    for sealed, there in ((True, 0), (False, len(pieces))):
        share = tmp_path / f"share-{sealed}"
        share.mkdir()
        train(flower, f"folder:{share}", tmp_path / f"{sealed}", sealed)
        assert sum(path.stat().st_size for path in share.rglob("*.letter")) > MEGABYTES * 2_000_000
        assert found(pieces, share) == there
