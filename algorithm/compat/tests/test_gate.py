"""A release that nobody has tried is used if it fits, and refused if it cannot work."""

from pathlib import Path

import pytest

from algorithm import cli
from algorithm.compat.gate import check_untried
from algorithm.compat.live import APP
from algorithm.compat.wheel.contract import contract_of
from algorithm.compat.wheel.tests.made_up import MadeUp
from algorithm.flower.environment import Flower
from proxy.errors import FlowerError
from proxy.fleet.releases import ERAS, NEWEST_TRIED

TRIED = ".".join(map(str, NEWEST_TRIED))


def installed(made_up: MadeUp, release: str, folder: Path) -> Flower:
    """Return an environment with a made-up release in it."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "flower-supernode").touch()
    python = programs / "python"
    python.write_text(f"#!/bin/sh\necho {release}\n")
    python.chmod(0o755)
    made_up.install(release, folder / "lib" / "python3.11" / "site-packages")
    return Flower(folder)


def test_a_nightly_release_that_fits_is_used(tmp_path: Path) -> None:
    nightly = "1.99.0.dev20991231"
    check_untried(installed(MadeUp(contract_of(ERAS[-1])), nightly, tmp_path), direct=True)


def broken() -> MadeUp:
    made_up = MadeUp(contract_of(ERAS[-1]))
    made_up.options["flower-supernode"].remove("--superlink")
    return made_up


@pytest.mark.parametrize("direct", [False, True])
def test_a_release_to_come_that_fits_is_used(direct: bool, tmp_path: Path) -> None:
    check_untried(installed(MadeUp(contract_of(ERAS[-1])), "1.99.0", tmp_path), direct)


def test_a_release_to_come_that_cannot_work_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FlowerError) as caught:
        check_untried(installed(broken(), "1.99.0", tmp_path), direct=False)
    assert "Flower 1.99.0 is newer than this bridge" in caught.value.message
    assert "flower-supernode has no --superlink" in caught.value.message
    assert f"flwr<={TRIED}" in caught.value.hint


def test_each_mode_goes_by_what_it_relies_on_itself(tmp_path: Path) -> None:
    check_untried(installed(broken(), "1.99.0", tmp_path), direct=True)
    made_up = MadeUp(contract_of(ERAS[-1]))
    made_up.names.remove("flwr.superlink.grid.http_grid:HttpGrid")
    other = tmp_path / "other"
    other.mkdir()
    flower = installed(made_up, "1.99.0", other)
    check_untried(flower, direct=False)
    with pytest.raises(FlowerError, match=r"there is no flwr\.superlink\.grid\.http_grid:HttpGrid"):
        check_untried(flower, direct=True)


def test_no_command_starts_what_cannot_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flower = installed(broken(), "1.99.0", tmp_path)
    assert cli.main(["run", str(APP), "--flower-env", str(flower.folder)]) == 1
    assert "flower-supernode has no --superlink" in capsys.readouterr().err


def test_a_release_that_was_tried_is_not_read_again(tmp_path: Path) -> None:
    check_untried(installed(broken(), TRIED, tmp_path), direct=False)
