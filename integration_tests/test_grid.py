"""A ServerApp's Grid is the same whatever is behind it: everything it can be asked, and answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    PATIENCE_SECONDS,
    Direct,
    Federation,
    finish,
    installed,
    native_federation,
)
from proxy.fleet.releases import version_of

# One of each Grid: gRPC and HTTP, with and without an inbox.
RELEASES = ("1.20.0", "1.26.1", "1.32.1", "1.39.0", "1.42.0", "1.43.0.dev20261026")
# Natively a message takes seconds, and the conversation has some fifty.
PATIENCE = 6 * PATIENCE_SECONDS
pytestmark = pytest.mark.timeout(2 * PATIENCE)
# From 1.43 on Flower says nothing of a message that nobody will answer; here an error comes.
UNANSWERED = {
    "send to an unknown node",
    "send to some unknown",
    "pull one that expired, answered",
    "pull one that expired, taken",
    "pull one that expired, waiting",
}


def transcript(result: Path) -> dict[str, Any]:
    """Return what was said to the Grid, and answered; without the path of the result itself."""
    answers: dict[str, Any] = json.loads(result.read_text().replace(str(result), "RESULT"))
    return answers


def test_a_grid_answers_as_natively(native: Federation, direct: Direct) -> None:
    natively, directly = map(transcript, _talk([native, direct]))
    assert directly == natively


@pytest.mark.thorough
def test_a_grid_before_the_bridge_answers_as_natively(native: Federation, warm: Federation) -> None:
    """It is Flower's own: what may differ is when messages are answered, and how."""
    natively, bridged = map(transcript, _talk([native, warm]))
    assert bridged == natively


@pytest.mark.thorough
@pytest.mark.parametrize("release", RELEASES)
def test_a_grid_of_another_release_answers_as_natively(release: str, tmp_path: Path) -> None:
    flower = installed(release)
    natively, directly = map(transcript, _on_both(flower, tmp_path))
    if version_of(release) >= (1, 43):
        for answers in (natively, directly):
            for step in UNANSWERED:
                del answers[step]
    assert directly == natively


def _on_both(flower: Flower, folder: Path) -> list[Path]:
    with native_federation(flower, folder / "native") as native:
        return _talk([native, Direct(flower, folder)])


def _talk(federations: Sequence[Federation | Direct]) -> list[Path]:
    results = [each.folder / f"conversation-{each.runs + 1}.json" for each in federations]
    runs = [
        each.submit("conversation", result=result)
        for each, result in zip(federations, results, strict=True)
    ]
    for run, result in zip(runs, results, strict=True):
        finish(run, PATIENCE)
        assert result.exists(), run.log_tail(40)
    return results
