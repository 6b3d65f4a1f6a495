"""In vantage6 5, too, a run goes on where it was when its node starts its central function again.

A node of 5.0.3 does so where Kubernetes has nothing of the function any more. What Kubernetes knows
as failed it reports as crashed, also when it is only back later (`test_vantage6_5_stack.py`).
"""

import pytest

from integration_tests.test_vantage6_failures import assert_trained_once
from integration_tests.test_vantage6_resume import undisturbed
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.faults import FaultsRun, replies
from integration_tests.vantage6_5.stack import Collaboration, Stack

_ROUNDS, _KILLED_IN = 10, 7
_NORTH, _SOUTH = range(2)


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["direct", "bridge"])
def test_a_central_that_is_killed_in_round_7_of_10_goes_on_there(
    vantage6_5: Stack, plain_5: Collaboration, image_of_5: ImageOf, mode: str
) -> None:
    run = FaultsRun(
        plain_5,
        image_of_5("faults"),
        stations=(_NORTH, _SOUTH),
        hold=[(_SOUTH, _KILLED_IN)],
        config={"num-server-rounds": _ROUNDS},
        mode=mode,
    )
    for number in range(1, _KILLED_IN + 1):
        run.journals.await_training(_SOUTH, number)
    node, central = plain_5.nodes[_NORTH], run.central_container()
    node.kill()
    vantage6_5.cluster.forget(central.run)
    central.kill()
    node.start()
    run.journals.release(_SOUTH, _KILLED_IN)
    outcome = run.outcome()
    assert outcome["status"] == "completed"
    answers = [replies(outcome, number) for number in range(1, _ROUNDS + 1)]
    assert [[each["value"] for each in answer] for answer in answers] == undisturbed()
    assert_trained_once(run.journals, _ROUNDS * 2)
