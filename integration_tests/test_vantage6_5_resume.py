"""In vantage6 5, too, a run goes on where it was when its node starts its central function again.

A node of 5.0.3 does so where Kubernetes has nothing of the function any more. What Kubernetes knows
as failed it reports as crashed, also when it is only back later (`test_vantage6_5_stack.py`).
"""

import pytest

from integration_tests.test_vantage6_resume import MODES, assert_it_goes_on, run_in_round_7
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6_5.stack import Collaboration, Stack


@pytest.mark.thorough
@MODES
def test_a_central_that_is_killed_in_round_7_of_10_goes_on_there(
    vantage6_5: Stack, plain_5: Collaboration, image_of_5: ImageOf, mode: str
) -> None:
    run = run_in_round_7(plain_5, image_of_5("faults"), mode)
    node, central = plain_5.nodes[0], run.central_container()
    node.kill()
    vantage6_5.cluster.forget(central.run)
    central.kill()
    node.start()
    assert_it_goes_on(run)
