"""In vantage6, too, what fails is an error reply for exactly its message, and the run goes on."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import alive, alone, attached_federation, finish, wait_until
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import login
from integration_tests.vantage6.doubling import doubling
from integration_tests.vantage6.faults import FaultsRun, replies
from integration_tests.vantage6.journals import Journals
from integration_tests.vantage6.page import shown
from integration_tests.vantage6.registration import Administrator
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration, Stack
from proxy.fleet.messages import ErrorCode

# How long a server is away.
_OUTAGE_SECONDS = 30.0
# Hosts look every few seconds whether their job is over; machines that run tests are slow.
_END_SECONDS = 60.0
# A run's containers, SuperLink and SuperNodes have to start.
_START_SECONDS = 300.0
_NORTH, _SOUTH, _WEST = range(3)


@dataclass
class Disturbed:
    """Runs that something happens to; their rounds are in the order of what happens.

    Attributes
    ----------
    warm : FaultsRun
        Its host in South is killed, then a courier there, then the server; a node is stopped.
    without_west : FaultsRun
        West's node is away for a round, when nothing is under way there.
    node_killed : dict[str, FaultsRun]
        South's node is killed while it trains; with warm SuperNodes, and with one per round.
    """

    warm: FaultsRun
    without_west: FaultsRun
    node_killed: dict[str, FaultsRun]


@pytest.fixture(scope="module")
def disturbed(
    vantage6: Stack, plain: Collaboration, encrypted: Collaboration, image_of: ImageOf
) -> Disturbed:
    """Runs at once, because much of it is waiting."""
    image = image_of("faults")
    with alone():
        return _disturbed(vantage6, plain, encrypted, image)


def _disturbed(
    vantage6: Stack, plain: Collaboration, encrypted: Collaboration, image: str
) -> Disturbed:
    warm = FaultsRun(
        plain,
        image,
        hold=[(_SOUTH, 2), (_SOUTH, 3), (_SOUTH, 4), (_WEST, 5)],
        config={"num-server-rounds": 6},
    )
    without_west = FaultsRun(encrypted, image, stations=(_NORTH, _WEST), config={"nodes": "2 1 2"})

    warm.journals.await_training(_SOUTH, 2)
    warm.container("host", _SOUTH).kill()

    warm.journals.await_training(_SOUTH, 3)
    warm.container("train 3", _SOUTH).kill()
    warm.journals.release(_SOUTH, 3)

    wait_until(
        lambda: "train 1: 2 of 2" in without_west.log, "the first round is over", _START_SECONDS
    )
    encrypted.nodes[_WEST].stop()

    warm.journals.await_training(_SOUTH, 4)
    courier = warm.container("train 4", _SOUTH)
    with vantage6.server.killed():
        back = time.monotonic() + _OUTAGE_SECONDS
        warm.journals.release(_SOUTH, 4)
        wait_until(lambda: courier not in plain.nodes[_SOUTH].containers(), "it has ended")
        time.sleep(max(0.0, back - time.monotonic()))

    node_killed = {
        supernodes: FaultsRun(
            encrypted,
            image,
            stations=(_NORTH, _SOUTH),
            hold=[(_SOUTH, 2)],
            supernodes=supernodes,
            deadline=180.0,
        )
        for supernodes in ("warm", "per-round")
    }

    warm.journals.await_training(_WEST, 5)
    with plain.nodes[_WEST].stopped():
        pass

    for run in node_killed.values():
        run.journals.await_training(_SOUTH, 2)
    encrypted.nodes[_SOUTH].kill()
    encrypted.nodes[_SOUTH].start()
    for run in node_killed.values():
        run.journals.release(_SOUTH, 2)

    without_west.journals.await_training(_NORTH, 2)
    encrypted.nodes[_WEST].start()
    return Disturbed(warm, without_west, node_killed)


def errors(outcome: dict[str, Any]) -> dict[tuple[int, int | None], int]:
    """Return the error replies that a ServerApp got: the codes by round and partition."""
    rounds = sorted({record["step"] for record in outcome["messages"]})
    return {
        (number, reply["partition"]): reply["error"]
        for number in rounds
        for reply in replies(outcome, number)
        if reply["error"] is not None
    }


def assert_trained_once(journals: Journals, messages: int) -> None:
    """Check that so many messages were trained, and none twice."""
    trained = journals.trained()
    assert len(trained) == len(set(trained)) == messages


def test_what_is_killed_costs_one_reply_and_an_outage_of_the_server_none(
    disturbed: Disturbed,
) -> None:
    assert errors(disturbed.warm.outcome()) == {
        (2, _SOUTH): ErrorCode.NODE_UNAVAILABLE,
        (3, _SOUTH): ErrorCode.NODE_UNAVAILABLE,
        (5, _WEST): ErrorCode.MESSAGE_UNAVAILABLE,
    }
    assert_trained_once(disturbed.warm.journals, 6 * 3)


def test_the_loss_of_a_clientapps_state_is_told(disturbed: Disturbed) -> None:
    outcome = disturbed.warm.outcome()
    names = outcome["stations"]
    lost = {(each["step"], each["station"]) for each in outcome["messages"] if each["state_lost"]}
    assert lost == {(4, names[_SOUTH]), (6, names[_WEST])}
    for station in (_SOUTH, _WEST):
        assert (
            f"WARNING station {names[station]}: its SuperNode was replaced; the ClientApp's state"
            " is a new one"
        ) in disturbed.warm.log


def test_a_node_that_is_offline_makes_its_supernode_offline_until_it_is_back(
    disturbed: Disturbed,
) -> None:
    outcome = disturbed.without_west.outcome()
    partitions = [[each["partition"] for each in replies(outcome, n)] for n in (1, 2, 3)]
    assert partitions == [[0, 1], [0], [0, 1]]
    assert not errors(outcome)
    assert_trained_once(disturbed.without_west.journals, 5)


def test_nothing_is_left_of_a_run_whose_central_function_is_ended(
    plain: Collaboration, image_of: ImageOf
) -> None:
    """By the user, and by the kernel: of that, vantage6 tells nobody. No idle limit helps."""
    user, kernel = (
        FaultsRun(
            plain,
            image_of("faults"),
            stations=(_NORTH, _SOUTH),
            hold=[(_NORTH, 1), (_SOUTH, 1)],
        )
        for _ in range(2)
    )
    processes: set[int] = set()
    for run in (user, kernel):
        for station in (_NORTH, _SOUTH):
            run.journals.await_training(station, 1)
        assert len(run.containers()) == 5
        processes.update(*(each.processes() for each in run.containers()))
    assert alive(processes)
    user.kill()
    kernel.central_container().kill()
    wait_until(
        lambda: not (user.containers() or kernel.containers() or alive(processes)),
        "nothing is left of the runs",
        _END_SECONDS,
    )


def test_a_task_that_is_created_twice_trains_nobody_twice(
    plain: Collaboration, image_of: ImageOf
) -> None:
    central = plain.nodes[_NORTH]
    with (
        doubling(central.proxy, str(urlsplit(central.proxy).hostname)) as proxy,
        central.configured(replace(central.settings, algorithm_env={"PORT": str(proxy.port)})),
    ):
        runs = {
            supernodes: FaultsRun(
                plain,
                image_of("faults"),
                stations=(_NORTH, _SOUTH),
                config={"num-server-rounds": 2},
                supernodes=supernodes,
            )
            for supernodes in ("warm", "per-round")
        }
        for run in runs.values():
            assert not errors(run.outcome())
            assert_trained_once(run.journals, 2 * 2)
    created = {task["id"] for run in runs.values() for task in run.subtasks}
    assert created == {task for pair in proxy.tasks for task in pair}
    assert len(created) == 2 * (2 + 2 * 2 + 2 * 2)


@pytest.mark.thorough
def test_a_task_that_is_created_twice_from_outside_trains_nobody_twice(
    plain: Collaboration, image_of: ImageOf, flower: Flower, tmp_path: Path
) -> None:
    journals = Journals([node.data for node in plain.nodes[:2]])
    server = urlsplit(plain.url)
    with doubling(f"{server.scheme}://{server.netloc}", "127.0.0.1") as proxy:
        environment = login(plain) | {
            "FLOWER_V6_SERVER": f"http://127.0.0.1:{proxy.port}{server.path}"
        }
        with attached_federation(
            flower,
            tmp_path / "federation",
            *("--vantage6", image_of("faults"), "--supernodes", "per-round"),
            *("--organizations", *(each.name for each in plain.organizations[:2])),
            environment=environment,
        ) as federation:
            submission = federation.submit(
                "faults", journal=journals.path, result=tmp_path / "result.json"
            )
            finish(submission)
    rounds = json.loads((tmp_path / "result.json").read_text())["rounds"]
    assert [reply["error"] for each in rounds for reply in each["replies"]] == [None] * 3 * 2
    assert len(proxy.tasks) == 3 * 2
    assert_trained_once(journals, 3 * 2)


def test_stations_that_can_do_nothing_say_why(plain: Collaboration, image_of: ImageOf) -> None:
    """South's owner does not allow the image, and West's disk is full."""
    south = plain.nodes[_SOUTH]
    policies = {"allowed_algorithms": ["^another/image"]}
    with south.configured(replace(south.settings, policies=policies)):
        run = FaultsRun(plain, image_of("faults"), config={"num-server-rounds": 1})
        run.give_room(_WEST, "16k")
        outcome = run.outcome()
    assert set(errors(outcome).values()) == {ErrorCode.NODE_UNAVAILABLE}
    said = {each["station"]: each["error"] for each in outcome["messages"]}
    north, south_name, west = outcome["stations"]
    assert not said[north]
    assert "not allowed (the node's owner does not allow this image" in said[south_name]
    assert "No space left on device" in said[west]


def test_an_organization_without_a_node_is_named(
    vantage6: Stack, plain: Collaboration, image_of: ImageOf
) -> None:
    """Its station cannot be made ready, so the run is not begun."""
    researcher = Researcher(plain)
    with Administrator(vantage6.server.url).member(plain.id, "East Laboratory") as east:
        task = researcher.create(
            image_of("faults"), "central", plain.organizations[0].id, organizations=[east.id]
        )
        assert researcher.end(task, 300) == "crashed"
    left = researcher.left(task)
    assert "East Laboratory" in left["cause"]
    assert "East Laboratory" in str(shown(left)["metrics"].rows[-1])


BAD_ARGUMENTS: dict[str, tuple[dict[str, object], list[str]]] = {
    "unknown argument": ({"rounds": 3}, ["no argument 'rounds'", "run_config, organizations"]),
    "unknown key": ({"run_config": {"lr": 1}}, ["no key 'lr'", "num-server-rounds"]),
    "value of a wrong type": ({"run_config": {"journal": [1]}}, ["run_config['journal']", "[1]"]),
    "run config that is none": ({"run_config": "lr=1"}, ["run_config cannot be 'lr=1'"]),
    "deadline of a wrong type": ({"deadline": "1h"}, ["deadline cannot be '1h'", "seconds"]),
    "unknown supernodes": (
        {"supernodes": "hot"},
        ["supernodes cannot be 'hot'", "warm, per-round"],
    ),
    "unknown organization": ({"organizations": ["East"]}, ["'East'", "North Hospital"]),
}


def test_bad_arguments_are_refused_before_anything_starts(
    plain: Collaboration, image_of: ImageOf
) -> None:
    researcher, first = Researcher(plain), plain.organizations[0].id
    image = image_of("faults")
    tasks = {
        name: researcher.create(image, "central", first, **given)
        for name, (given, _) in BAD_ARGUMENTS.items()
    }
    for name, task in tasks.items():
        assert researcher.end(task) == "crashed", name
        left = researcher.left(task)
        for part in BAD_ARGUMENTS[name][1]:
            assert part in left["error"], name
            assert part in str(shown(left)["metrics"].rows[0][-1]), name
        assert not researcher.get("task", parent_id=task)["data"], name


# Last, because it takes until a deadline. Other tests need not wait for that, but they must leave
# the nodes of the encrypted collaboration alone until then.


@pytest.mark.parametrize("supernodes", ["warm", "per-round"])
def test_a_killed_node_costs_one_reply(disturbed: Disturbed, supernodes: str) -> None:
    """It comes at the deadline: vantage6 shows a run as active that its node knows nothing of."""
    run = disturbed.node_killed[supernodes]
    assert errors(run.outcome()) == {(2, _SOUTH): ErrorCode.NODE_UNAVAILABLE}
    assert_trained_once(run.journals, 3 * 2)
