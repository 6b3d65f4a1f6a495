"""A run whose central is killed goes on where it was, when its node starts it again."""

import pytest

from integration_tests.test_vantage6_failures import assert_trained_once
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.faults import FaultsRun, replies
from integration_tests.vantage6.stack import Collaboration

_ROUNDS, _KILLED_IN = 10, 7
_NORTH, _SOUTH = range(2)


def undisturbed() -> list[list[float]]:
    """Return what the stations answer in each round if nothing happens."""
    value, rounds = 0.0, []
    for _ in range(_ROUNDS):
        values = [value + 1, value + 2]
        value = sum(values) / len(values)
        rounds.append(values)
    return rounds


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["direct", "bridge"])
def test_a_central_that_is_killed_in_round_7_of_10_goes_on_there(
    plain: Collaboration, image_of: ImageOf, mode: str
) -> None:
    run = FaultsRun(
        plain,
        image_of("faults"),
        stations=(_NORTH, _SOUTH),
        hold=[(_SOUTH, _KILLED_IN)],
        config={"num-server-rounds": _ROUNDS},
        mode=mode,
    )
    for number in range(1, _KILLED_IN + 1):
        run.journals.await_training(_SOUTH, number)
    node = plain.nodes[_NORTH]
    node.kill()
    run.central_container().kill()
    node.start()
    run.journals.release(_SOUTH, _KILLED_IN)
    outcome = run.outcome()
    assert outcome["status"] == "completed"
    answers = [replies(outcome, number) for number in range(1, _ROUNDS + 1)]
    assert [[each["value"] for each in answer] for answer in answers] == undisturbed()
    assert_trained_once(run.journals, _ROUNDS * 2)
    assert "answered from the journal" in run.log
