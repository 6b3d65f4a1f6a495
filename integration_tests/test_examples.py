"""The examples do what their pages say, and the same natively, bridged and in direct mode.

The commands are typed as they stand on an example's page, and what the page says one sees is seen.
"""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algorithm.flower.environment import Flower
from algorithm.flower.node_config import pairs_of
from integration_tests.harness import (
    Direct,
    Federation,
    finish,
    free_port,
    listens,
    native_federation,
    run_config,
    start,
    wait_until,
)
from integration_tests.reader import Reader, blocks, shown_by
from proxy.system.process import Process

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# Run-config keys that name a file that the ServerApp writes.
_FILES = ("result", "model")
_DECIMALS = re.compile(r"\d+\\\.\d+")
# SecAgg+ rounds at random: 16 / 2^22, times 1000 / 147 for the weight of a station.
_MASKED_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Example:
    """One that a single command runs.

    Attributes
    ----------
    name : str
        Its folder's.
    stations : int
        How many it needs.
    exact : bool
        Whether it ends with the same bytes every time.
    """

    name: str
    stations: int = 2
    exact: bool = True

    @property
    def folder(self) -> Path:
        """Where it is."""
        return EXAMPLES / self.name

    @property
    def files(self) -> dict[str, str]:
        """The files that it writes, by the run-config key that names them."""
        app = tomllib.loads((self.folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
        return {key: app["config"][key] for key in _FILES if key in app["config"]}


NEEDS_LIGHTNING = pytest.mark.skipif(
    find_spec("lightning") is None, reason="Lightning is not installed: pip install '.[examples]'"
)
BY_ONE_COMMAND = [
    pytest.param(Example("analytics"), marks=pytest.mark.thorough),
    Example("adaptive"),
    pytest.param(Example("weights"), marks=pytest.mark.thorough),
    pytest.param(Example("sklearn_tabular"), marks=pytest.mark.thorough),
    pytest.param(Example("porting"), marks=pytest.mark.thorough),
    pytest.param(
        Example("secure_aggregation", stations=3, exact=False), marks=pytest.mark.thorough
    ),
    pytest.param(Example("lightning"), marks=[pytest.mark.thorough, NEEDS_LIGHTNING]),
]


def name_of(example: object) -> str:
    return example.name if isinstance(example, Example) else ""


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A reader who has a checkout."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "examples").symlink_to(EXAMPLES)
    return Reader(folder, {"FLWR_HOME": str(tmp_path / "flwr")})


@contextmanager
def native_stations(
    number: int, shared: Federation, flower: Flower, folder: Path
) -> Iterator[Federation]:
    """As many SuperNodes as an example needs; the two that all tests share, if these will do."""
    if number == 2:
        yield shared
        return
    with native_federation(flower, folder, [""] * number) as federation:
        yield federation


@pytest.mark.parametrize("example", BY_ONE_COMMAND, ids=name_of)
def test_an_example_does_what_its_page_says_and_the_same_natively_and_directly(
    example: Example, native: Federation, flower: Flower, reader: Reader, tmp_path: Path
) -> None:
    page = example.folder / "README.md"
    (command,) = blocks(page, "sh")
    natively, directly = tmp_path / "natively", tmp_path / "directly"
    with native_stations(example.stations, native, flower, tmp_path / "federation") as federation:
        runs = [
            federation.submit(example.folder, **files_in(natively, example)),
            Direct(flower, tmp_path, ("--stations", str(example.stations))).submit(
                example.folder, **files_in(directly, example)
            ),
        ]
        with reader.typing(command) as shell:
            shown = shown_by(shell)
        for run in runs:
            finish(run)
            assert run.exit_code == 0, run.log_tail(40)

    assert_sees(page, shown)
    for file in example.files.values():
        for folder in (natively, directly):
            if example.exact:
                assert content(folder / file) == content(reader.folder / file)
            else:
                assert_close(folder / file, reader.folder / file)


def files_in(folder: Path, example: Example) -> dict[str, Path]:
    """Return a run config that has an example write its files there."""
    folder.mkdir()
    return {key: folder / file for key, file in example.files.items()}


def content(path: Path) -> Any:
    """Return what a file holds, so that it can be compared."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return {
            name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()
        }


def assert_close(one: Path, other: Path) -> None:
    """Check that two models are the same, up to what the masks of SecAgg+ cost."""
    with np.load(one) as ones, np.load(other) as others:
        assert list(ones) == list(others)
        for name in ones:
            assert ones[name] == pytest.approx(others[name], abs=_MASKED_TOLERANCE)


def assert_sees(page: Path, shown: str) -> None:
    """Check that what a page says one sees is seen, line by line: up to an ellipsis.

    Decimals may be others: they are not the same on every processor.
    """
    _, seen = blocks(page, "text")
    for line in seen.splitlines():
        pattern = _DECIMALS.sub(r"\\d+\\.\\d+", re.escape(line.partition("…")[0].strip()))
        assert re.search(pattern, shown), f"{page} says {line!r}; shown is\n{shown}"


# Old scripts


def test_the_old_scripts_train_the_model_that_the_ported_app_trains(
    direct: Direct, tmp_path: Path
) -> None:
    scripts, model = tmp_path / "before", tmp_path / "ported.npz"
    shutil.copytree(EXAMPLES / "porting" / "before", scripts)
    address = f"127.0.0.1:{free_port()}"
    for script in scripts.glob("*.py"):
        script.write_text(script.read_text().replace("127.0.0.1:8080", address))

    def run(*arguments: str) -> Process:
        log = tmp_path / f"{'-'.join(arguments)}.log"
        command = ["env", "--chdir", str(scripts), sys.executable, *arguments]
        return Process(command, direct.flower.environment(tmp_path / "flwr"), log)

    ported = direct.submit(EXAMPLES / "porting", model=model)
    server = run("server.py")
    wait_until(lambda: listens(address) or not server.running, "the old server listens")
    clients = [run("client.py", "0"), run("client.py", "1")]
    for process in (server, *clients, ported):
        finish(process)
        assert process.exit_code == 0, process.log_tail(40)
    old, new = content(scripts / "model.npz"), content(model)
    assert list(old.values()) == list(new.values())


def test_the_ported_app_has_the_old_model_unchanged() -> None:
    before, after = EXAMPLES / "porting" / "before", EXAMPLES / "porting" / "ported"
    assert (before / "wine.py").read_bytes() == (after / "wine.py").read_bytes()


# A federation that stays


HOSPITALS = EXAMPLES / "hospitals"
SITES = [HOSPITALS / "sites" / f"{name}.toml" for name in ("harbor", "west")]


@pytest.mark.thorough
def test_hospitals_take_part_in_jobs_in_sequence_and_at_once_and_natively_in_the_same(
    flower: Flower, reader: Reader, tmp_path: Path
) -> None:
    page, port = HOSPITALS / "README.md", str(free_port())
    superlink, attach, driver = (block.replace("8000", port) for block in blocks(page, "sh"))
    (connection,) = (block.replace("8000", port) for block in blocks(page, "toml"))
    home = Path(reader.variables["FLWR_HOME"])
    home.mkdir()
    (home / "config.toml").write_text(connection)

    with reader.typing(superlink) as staying:
        wait_until(lambda: listens(f"127.0.0.1:{port}") or not staying.running, "it listens")
        with reader.typing(attach) as sites:
            wait_until(
                lambda: "stop with Ctrl-C" in sites.log.read_text() or not sites.running,
                "the sites are attached",
            )
            with reader.typing(driver) as jobs:
                assert_sees(page, shown_by(jobs) + staying.log.read_text())
    together, *at_once = jobs_in(reader.folder / "outputs" / "hospitals")
    assert trained_at(together) == ["harbor", "west"]
    assert sorted(map(trained_at, at_once)) == [["harbor"], ["west"]]

    configs = [pairs_of(str(site)) for site in SITES]
    with native_federation(flower, tmp_path / "native", configs) as native:
        natively = native.submit(HOSPITALS, output=tmp_path / "natively")
        directly = start(
            *("run", str(HOSPITALS), "--mode", "direct"),
            *("--node-config", str(SITES[0]), "--node-config", str(SITES[1])),
            *("--run-config", run_config(output=tmp_path / "directly")),
            log=tmp_path / "directly.log",
        )
        for run in (natively, directly):
            finish(run)
            assert run.exit_code == 0, run.log_tail(40)
    for output in (tmp_path / "natively", tmp_path / "directly"):
        (job,) = jobs_in(output)
        assert job_of(job) == job_of(together)


def jobs_in(output: Path) -> list[Path]:
    """Return the folders of jobs, in the order of their dates and times."""
    return sorted(metrics.parent for metrics in output.glob("*-*-*/*-*-*-*/metrics.json"))


def trained_at(job: Path) -> list[str]:
    """Return the names of the sites that a job trained at."""
    sites: list[str] = content(job / "metrics.json")["trained-at"]
    return sites


def job_of(folder: Path) -> dict[str, Any]:
    """Return all that a job left, by file."""
    return {path.name: content(path) for path in folder.iterdir()}
