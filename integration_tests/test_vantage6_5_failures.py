"""In vantage6 5, what it loses and what fails costs one reply at most, and the run goes on.

`test_vantage6_5_defects.py` shows each defect of 5.0.3 by itself; here a run meets them.
"""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from integration_tests.harness import alive, wait_until
from integration_tests.test_vantage6_failures import assert_trained_once, errors
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import flower_v6, login
from integration_tests.vantage6.containers import Container
from integration_tests.vantage6.faults import FaultsRun
from integration_tests.vantage6_5.cluster import Cluster
from integration_tests.vantage6_5.node import Node
from integration_tests.vantage6_5.registration import COLLABORATION_ADMIN
from integration_tests.vantage6_5.researcher import Researcher
from integration_tests.vantage6_5.stack import Collaboration, Stack
from proxy.calls import Mode
from proxy.fleet.messages import ErrorCode

# How long HQ is away.
_OUTAGE_SECONDS = 30.0
# Until a run sends its first message, on a busy machine.
_START_SECONDS = 600.0
# After that nothing is left of a run, a pod's 30 s for its end among it.
_END_SECONDS = 60.0
# A lost result may cost a message so much more than one that is not lost.
_LOST_SECONDS = 30.0
# Other runs begin so much apart: more would queue up at a busy node, and messages behind them.
_BETWEEN_SECONDS = 3.0
_NORTH, _SOUTH = range(2)


@pytest.fixture
def cluster(vantage6_5: Stack) -> Iterator[Cluster]:
    """The stack's cluster, whose behaviour may be changed by this test."""
    yield vantage6_5.cluster
    vantage6_5.cluster.ends_every = vantage6_5.cluster.unseen_seconds = 0.0


def seconds_of(outcome: dict[str, Any]) -> list[float]:
    """Return what each message took, but for the ClientApp's own time."""
    return [
        sum(each["seconds"].values()) - each["seconds"]["clientapp"] for each in outcome["messages"]
    ]


@pytest.mark.parametrize(
    ("messages", "supernodes"),
    [
        pytest.param(8, "warm", marks=pytest.mark.thorough),
        pytest.param(8, "per-round", marks=pytest.mark.thorough),
        pytest.param(200, "warm", marks=[pytest.mark.thorough, pytest.mark.timeout(7200)]),
    ],
)
def test_every_message_is_answered_once_while_its_node_loses_results(
    messages: int,
    supernodes: str,
    cluster: Cluster,
    plain_5: Collaboration,
    image_of_5: ImageOf,
    probe_5: str,
) -> None:
    """Other tasks end at the node in the same moments, so it loses the result of each or theirs."""
    south = plain_5.nodes[_SOUTH]
    cluster.ends_every = 2.0
    with others(Researcher(plain_5), probe_5, south):
        run = FaultsRun(
            plain_5,
            image_of_5("faults"),
            stations=(_SOUTH,),
            central=_NORTH,
            config={"num-server-rounds": messages},
            supernodes=supernodes,
            # It is the carrier that is tested: the faster the messages, the more are lost.
            mode=Mode.DIRECT,
        )
        outcome = run.outcome(_START_SECONDS + 60.0 * messages)
    assert not errors(outcome)
    assert len(outcome["messages"]) == messages
    assert_trained_once(run.journals, messages)
    assert run.unfinished(), "no result was lost: nothing was tested"
    took = seconds_of(outcome)
    print(f"a message took {min(took):.1f} to {max(took):.1f} s, but for its ClientApp")
    assert max(took) < min(took) + _LOST_SECONDS, sorted(took)


@contextmanager
def others(researcher: Researcher, probe: str, node: Node) -> Iterator[None]:
    """Have tasks that do nothing run at a node, one after the other, for a while."""
    enough = Event()

    def run_one() -> None:
        task = researcher.create_as("federated_compute", probe, "look", node.organization.id)
        wait_until(lambda: researcher.status_of_run(task) != "pending", "it has begun")

    def run_others() -> None:
        while not enough.wait(_BETWEEN_SECONDS):
            run_one()

    creating = Thread(target=run_others)
    creating.start()
    try:
        yield
    finally:
        enough.set()
        creating.join()


@pytest.mark.thorough
def test_pods_that_are_not_seen_to_run_cost_nothing(
    cluster: Cluster, plain_5: Collaboration, image_of_5: ImageOf
) -> None:
    """Each short one is "unknown error" for a moment, and then completed."""
    cluster.unseen_seconds = 5.0
    run = FaultsRun(
        plain_5,
        image_of_5("faults"),
        stations=(_NORTH, _SOUTH),
        config={"num-server-rounds": 2},
    )
    assert not errors(run.outcome())
    assert_trained_once(run.journals, 2 * 2)


@pytest.mark.thorough
def test_texts_of_any_length_pass_where_hq_refuses_one_in_three(
    encrypted_5: Collaboration, image_of_5: ImageOf
) -> None:
    run = FaultsRun(
        encrypted_5,
        image_of_5("faults"),
        stations=(_NORTH, _SOUTH),
        config={"num-server-rounds": 3},
        supernodes="per-round",
    )
    assert not errors(run.outcome())
    assert_trained_once(run.journals, 3 * 2)


@pytest.mark.thorough
def test_what_is_killed_costs_one_reply_and_outages_none(
    vantage6_5: Stack, plain_5: Collaboration, image_of_5: ImageOf
) -> None:
    """South's host is killed while it trains; HQ is away for a while; South's node is restarted."""
    run = FaultsRun(
        plain_5,
        image_of_5("faults"),
        stations=(_NORTH, _SOUTH),
        hold=[(_SOUTH, 2), (_SOUTH, 3), (_SOUTH, 4)],
        config={"num-server-rounds": 5},
    )
    run.journals.await_training(_SOUTH, 2)
    run.container("host", _SOUTH).kill()

    run.journals.await_training(_SOUTH, 3)
    courier = run.container("train 3", _SOUTH)
    with vantage6_5.hq.killed():
        back = time.monotonic() + _OUTAGE_SECONDS
        run.journals.release(_SOUTH, 3)
        wait_until(lambda: courier not in plain_5.nodes[_SOUTH].containers(), "it has ended")
        time.sleep(max(0.0, back - time.monotonic()))

    run.journals.await_training(_SOUTH, 4)
    with plain_5.nodes[_SOUTH].stopped():
        run.journals.release(_SOUTH, 4)

    outcome = run.outcome()
    assert errors(outcome) == {(2, _SOUTH): ErrorCode.NODE_UNAVAILABLE}
    assert_trained_once(run.journals, 5 * 2)


def lasting(run: FaultsRun) -> list[Container]:
    """Return the containers of a run in its first round, but for those that only ask."""
    titles = itertools.product(("host", "train 1"), (_NORTH, _SOUTH))
    return [run.central_container(), *(run.container(*each) for each in titles)]


@pytest.mark.thorough
def test_nothing_is_left_of_a_run_whose_central_function_is_ended(
    vantage6_5: Stack, plain_5: Collaboration, image_of_5: ImageOf
) -> None:
    """By `flower-v6 kill`, by HQ, and by the kernel: that is seen by whoever watches the run.

    No idle limit helps. `submit` watches, too.
    """
    modes = (Mode.BRIDGE, Mode.DIRECT, Mode.BRIDGE)
    by_command, by_hq, by_kernel = runs = [
        FaultsRun(
            plain_5,
            image_of_5("faults"),
            stations=(_NORTH, _SOUTH),
            hold=[(_NORTH, 1), (_SOUTH, 1)],
            mode=mode,
        )
        for mode in modes
    ]
    processes: set[int] = set()
    for run in runs:
        for station in (_NORTH, _SOUTH):
            run.journals.await_training(station, 1)
        processes.update(*(each.processes() for each in lasting(run)))
    assert alive(processes)
    killer = vantage6_5.administrator.robot("killer", plain_5.organizations[0], COLLABORATION_ADMIN)
    as_killer = {"FLOWER_V6_USERNAME": killer.username, "FLOWER_V6_PASSWORD": killer.secret}
    killed = flower_v6({**login(plain_5), **as_killer}, "kill", str(by_command.task))
    assert f"task {by_command.task} is killed" in killed.stdout, killed.stderr
    by_hq.kill()
    by_kernel.central_container().kill()
    watched = flower_v6(login(plain_5), "watch", str(by_kernel.task))
    assert "North Hospital, South Hospital are told that it is over" in watched.stdout
    assert watched.returncode == 1
    wait_until(
        lambda: not (any(run.containers() for run in runs) or alive(processes)),
        "nothing is left of the runs",
        _END_SECONDS,
    )


def test_nothing_is_left_of_a_run_that_has_ended(
    plain_5: Collaboration, image_of_5: ImageOf
) -> None:
    run = FaultsRun(
        plain_5,
        image_of_5("faults"),
        stations=(_NORTH, _SOUTH),
        config={"num-server-rounds": 1},
    )
    run.outcome()
    wait_until(lambda: not run.containers(), "nothing is left of the run", _END_SECONDS)


def test_a_run_that_fails_says_why(plain_5: Collaboration, image_of_5: ImageOf) -> None:
    """What a crash leaves is thrown away, so the central function ends with 0 all the same."""
    run = FaultsRun(plain_5, image_of_5("faults"), stations=(_NORTH,), rounds=3)
    assert "no argument 'rounds'" in json.dumps(run.outcome())
