"""Organizations as stations of a SuperLink outside vantage6: which options go together."""

import argparse
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.cli.attach import add_vantage6_options, vantage6_stations
from algorithm.runs.organizations import Organizations
from algorithm.tests.vantage6 import User
from proxy.carriers import Exchange
from proxy.errors import BridgeError, ServerUnreachable, UsageError
from proxy.vantage6.v4.testing import FakeServer


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server whose stations answer with what they are sent."""
    with FakeServer(lambda task: {"bundle": task.input["bundle"]}) as fake:
        yield fake


@pytest.fixture(autouse=True)
def user(
    fake: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> User:
    user = User(fake, tmp_path, monkeypatch, capsys)
    user.is_told(collaboration="Study")
    return user


def asked(*options: str, **station_options: object) -> Organizations:
    """Return the stations that a command line asks for."""
    parser = argparse.ArgumentParser()
    add_vantage6_options(parser)
    parser.set_defaults(
        supernodes=None, stations=None, node_config=[], lane=[], flower_env=None, deadline=60.0
    )
    parser.set_defaults(**station_options)
    return vantage6_stations(parser.parse_args(["--vantage6", "an/image", *options]))


def refused(*options: str, **station_options: object) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        asked(*options, **station_options)
    return caught.value


def carry(stations: Organizations, station: str, folder: Path) -> bytes:
    """Bring a bundle to a station; returns its answer."""
    source, target = folder / "instruction", folder / "reply"
    source.write_bytes(b"a bundle")
    exchange = Exchange("1f", "train 3", source, target, 30.0, threading.Event())
    stations.carrier(folder).exchange(station, exchange)
    return target.read_bytes()


# What is attached


def test_without_names_all_organizations_of_the_collaboration_are_stations() -> None:
    assert asked().names == ["Alpha", "Beta", "Gamma"]


@pytest.mark.parametrize("names", [["Gamma", "Beta"], ["3", "2"], ["3", "Beta", "Gamma", "2"]])
def test_organizations_may_be_named(names: list[str]) -> None:
    assert asked("--organizations", *names).names == ["Gamma", "Beta"]


def test_a_station_is_reached_by_tasks_as_the_options_say(fake: FakeServer, tmp_path: Path) -> None:
    stations = asked("--organizations", "Beta", "--database", "scans")
    assert stations.names == ["Beta"]
    assert stations.deadline == 60.0
    assert carry(stations, "Beta", tmp_path) == b"a bundle"
    (task,) = fake.tasks.values()
    assert (task.asked.image, task.asked.collaboration) == ("an/image", 1)
    assert (task.asked.organization, task.asked.databases) == (2, ("scans",))
    assert task.input["method"] == "per_round"


def test_all_tasks_of_an_attachment_are_of_one_job_and_those_of_another_of_another(
    fake: FakeServer, tmp_path: Path
) -> None:
    for stations in (asked(), asked()):
        for station in ("Alpha", "Beta"):
            carry(stations, station, tmp_path)
    first, second, third, fourth = (task.input["kwargs"]["job"] for task in fake.tasks.values())
    assert first == second != third == fourth
    assert first.isalnum()


def test_in_an_encrypted_collaboration_all_goes_as_elsewhere(
    user: User, fake: FakeServer, tmp_path: Path
) -> None:
    fake.add_collaboration("Secret", [1, 2], encrypted=True)
    user.has_key_of(1)
    stations = asked("--collaboration", "Secret")
    assert stations.names == ["Alpha", "Beta"]
    assert carry(stations, "Beta", tmp_path) == b"a bundle"


def test_an_organization_whose_node_is_offline_is_a_station(fake: FakeServer) -> None:
    fake.set_node(2, online=False)
    assert asked().names == ["Alpha", "Beta", "Gamma"]


# What is refused


def test_supernodes_cannot_be_kept_warm_and_submit_is_pointed_to(fake: FakeServer) -> None:
    error = refused(supernodes="warm")
    assert "no SuperNode can be kept warm" in error.message
    assert "--supernodes per-round" in error.hint
    assert "flower-v6 submit" in error.hint
    assert "POST task" not in fake.requests


def test_per_round_may_be_asked_for() -> None:
    assert asked(supernodes="per-round")


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("stations", 3, "--stations"),
        ("node_config", ["a=1"], "--node-config"),
        ("flower_env", Path("flower"), "--flower-env"),
    ],
)
def test_what_makes_stations_on_this_machine_is_refused_by_its_name(
    fake: FakeServer, name: str, value: object, option: str
) -> None:
    error = refused(**{name: value})
    assert error.message == f"{option} cannot be used with --vantage6."
    assert fake.requests == []


def test_an_unknown_organization_is_refused_naming_those_that_there_are() -> None:
    error = refused("--organizations", "Alpha", "Nobody")
    assert isinstance(error, UsageError)
    assert "There is no organization 'Nobody'" in error.message
    assert "Alpha (1), Beta (2), Gamma (3)" in error.hint


def test_an_organization_without_a_node_is_refused_unless_others_are_named(
    fake: FakeServer,
) -> None:
    del fake.collaborations[1].nodes[2]
    assert "No node is registered" in refused().message
    assert "Beta" in refused().message
    assert asked("--organizations", "Alpha", "Gamma")


def test_an_unknown_collaboration_is_refused_naming_those_that_there_are() -> None:
    assert "Study (1)" in refused("--collaboration", "Nowhere").hint


def test_a_server_that_does_not_answer_is_an_error(fake: FakeServer) -> None:
    with fake.away():
        assert isinstance(refused(), ServerUnreachable)
