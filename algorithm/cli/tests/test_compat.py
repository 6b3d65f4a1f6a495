"""`flower-v6 compat`, as far as it needs neither the package index nor Flower."""

import json
from pathlib import Path

import pytest

from algorithm import cli
from algorithm.cli import compat as command
from algorithm.compat import environment
from algorithm.compat.verdict import Verdict, decode, encode
from algorithm.compat.wheel.contract import contract_of
from algorithm.compat.wheel.static import Change
from algorithm.compat.wheel.tests.made_up import MadeUp
from proxy.errors import FlowerError
from proxy.fleet.releases import ERAS

NEWEST = contract_of(ERAS[-1])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the wheels of three releases; a package index that knows them, and an old one.

    1.99.0 changed nothing, 1.99.1 broke something, 1.3.0 is of long ago.
    """
    wheels = tmp_path / "wheels"
    for release in ("1.3.0", "1.98.0", "1.99.0"):
        MadeUp(NEWEST).wheel(release, wheels)
    broken = MadeUp(NEWEST)
    broken.options["flower-superlink"].remove("--insecure")
    broken.wheel("1.99.1", wheels)
    releases = ["1.3.0", "1.98.0", "1.99.0", "1.99.1"]
    monkeypatch.setattr(command, "released", lambda: releases)
    return tmp_path


def compat(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command; returns its exit code and what it wrote."""
    exit_code = cli.main(["compat", *arguments])
    written = capsys.readouterr()
    return exit_code, written.out + written.err


def test_a_release_to_come_is_examined_as_one_of_the_newest_era(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, written = compat(capsys, "1.99.0", "--cache", str(cache))
    assert exit_code == 0
    era = ".".join(map(str, ERAS[-1].first))
    assert written.splitlines()[1].split() == ["1.99.0", era, ERAS[-1].transport, "fits", "fits"]


def test_a_release_that_broke_something_is_an_exit_code_and_a_reason(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, written = compat(capsys, "1.99.1", "--cache", str(cache))
    assert exit_code == 1
    assert "broken" in written
    assert "BREAKS: flower-superlink has no --insecure, which the bridge gives it" in written


def test_a_release_that_broke_the_direct_mode_is_one_too(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up = MadeUp(NEWEST)
    made_up.names = [each for each in made_up.names if "message_to_proto" not in each]
    made_up.wheel("1.99.0", cache / "wheels")
    exit_code, written = compat(capsys, "1.99.0", "--cache", str(cache))
    assert exit_code == 1
    assert written.splitlines()[1].split()[-2:] == ["fits", "broken"]
    assert "BREAKS the direct mode: there is no flwr.common.serde:message_to_proto" in written


def test_a_nightly_release_is_named_as_such_and_compared_with_the_release_before(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up = MadeUp(NEWEST)
    made_up.options["flower-superlink"].append("--moon")
    made_up.wheel("1.99.1.dev20991231", cache / "wheels")
    exit_code, written = compat(capsys, "1.99.1.dev20991231", "--cache", str(cache))
    assert exit_code == 0
    assert written.splitlines()[1].split()[0] == "1.99.1.dev20991231"
    assert "flower-superlink: new option --moon" in written


def test_the_newest_release_is_the_last_in_the_index(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, written = compat(capsys, "--newest", "--cache", str(cache))
    assert exit_code == 1
    assert written.splitlines()[1].startswith("1.99.1 ")


def test_an_older_release_is_refused_when_named_and_left_out_of_all(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, written = compat(capsys, "1.3.0", "--cache", str(cache))
    assert exit_code == 1
    assert "refused" in written
    assert "Flower 1.3.0 is not supported: the bridge needs flwr 1.15.1 or newer." in written
    _, written = compat(capsys, "--all", "--cache", str(cache))
    assert [line.split()[0] for line in written.splitlines() if "http" in line] == [
        "1.98.0",
        "1.99.0",
        "1.99.1",
    ]


def test_json_is_for_machines(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compat", "--all", "--json", "--cache", str(cache)]) == 1
    found = json.loads(capsys.readouterr().out)["releases"]
    assert [(each["release"], each["status"]) for each in found] == [
        ("1.98.0", "fits"),
        ("1.99.0", "fits"),
        ("1.99.1", "broken"),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["1.97.0"], "has no flwr 1.97.0"),
        (["1.99.0", "--all"], "Name releases, or give --all or --newest; not both."),
        (["1.99.0", "--tapes", "tapes"], "--tapes needs --live"),
    ],
)
def test_what_cannot_be_examined_is_said(
    arguments: list[str], complaint: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, written = compat(capsys, *arguments, "--cache", str(cache))
    assert exit_code == 1
    assert complaint in written


def test_verdicts_come_back_from_json_as_they_were() -> None:
    verdicts = [
        Verdict("1.99.0", "1.40", "http", [Change(False, "new field")], tried=True),
        Verdict("1.99.1", "1.40", "http", [Change(True, "no method")], failure="it fell over"),
        Verdict("1.99.2", "1.40", "http", tried=True, direct_reasons=[]),
        Verdict("1.99.3", "1.40", "http", tried=True, direct_reasons=["there is no flwr.a:b"]),
        Verdict("1.3.0", failure="too old"),
    ]
    assert decode(encode(verdicts)) == verdicts
    assert [each.status for each in verdicts] == ["works", "broken", "works", "works", "refused"]
    assert [each.direct for each in verdicts] == ["none", "none", "works", "broken", "none"]
    assert verdicts[1].reasons == ["no method", "it fell over"]


def test_final_releases_are_listed_from_old_to_new(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "flwr (1.10.0)\nAvailable versions: 1.10.0, 1.10.0rc1, 1.9.0\n  INSTALLED: 1.9.0\n"
    monkeypatch.setattr(environment, "_pip", lambda *arguments: said)
    assert environment.released() == ["1.9.0", "1.10.0"]


def test_a_release_whose_dependencies_cannot_be_had_gets_those_of_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def pip(*arguments: str, into: Path) -> str:
        asked.append(arguments)
        if "flwr==1.42.0" in arguments and "--no-deps" not in arguments:
            raise FlowerError("no matching distribution")
        return ""

    monkeypatch.setattr(environment, "_pip", pip)
    folder = environment.environment("1.42.0", tmp_path)
    assert asked == [
        ("install", "flwr==1.42.0", "numpy"),
        ("install", "flwr<1.42.0", "numpy"),
        ("install", "--no-deps", "flwr==1.42.0"),
    ]
    assert environment.environment("1.42.0", tmp_path) == folder
    assert len(asked) == 3


def test_releases_of_vantage6_are_neither_tried_out_nor_installed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code, written = compat(capsys, "--vantage6", "--live")
    assert exit_code == 1
    assert "--vantage6 goes with releases, --all, --newest, --cache and --json only." in written
