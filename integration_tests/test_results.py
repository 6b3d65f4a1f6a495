"""An app that runs through the bridge ends with what it ends with natively, to the last bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from integration_tests.harness import Federation, finish, run_on


def arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return all that distinguishes two sets of arrays: names, types, shapes, bits."""
    with np.load(path) as file:
        return {
            name: (str(file[name].dtype), file[name].shape, file[name].tobytes()) for name in file
        }


def values(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text())


def test_the_demo_trains_the_same_model_bit_by_bit(
    native: Federation, warm: Federation, per_round: Federation, tmp_path: Path
) -> None:
    natively, *bridged = run_on(
        [native, warm, per_round],
        "digits",
        ".npz",
        model=tmp_path / "model.pt",
        num_server_rounds=1,
    )
    for result in bridged:
        assert arrays(result) == arrays(natively)


def test_a_warm_client_counts_on_as_natively(
    native: Federation, warm: Federation, per_round: Federation
) -> None:
    """The state of a ClientApp lives as long as its SuperNode, in the bridge for one message."""
    natively, kept, lost = map(
        values,
        run_on([native, warm, per_round], "stateful", ".json", num_server_rounds=1),
    )
    assert kept == natively
    assert natively["evaluate"]["1"] == [2, 2]
    assert lost["evaluate"]["1"] == [1, 1]


def test_an_exception_reaches_the_strategy_in_the_same_words(
    native: Federation, warm: Federation
) -> None:
    natively, bridged = map(values, run_on([native, warm], "raising", ".json", num_server_rounds=2))
    assert bridged == natively
    assert natively["rounds"][1]["errors"][0]["reason"].startswith("<class 'ValueError'>")


def test_queries_and_messages_whose_replies_nobody_collects(
    native: Federation, warm: Federation
) -> None:
    natively, bridged = run_on([native, warm], "queries", ".json")
    assert values(bridged) == values(natively)


def test_the_api_of_old_apps(native: Federation, warm: Federation) -> None:
    """NumPyClient and flwr.server.strategy."""
    natively, bridged = run_on([native, warm], "legacy", ".npz", num_server_rounds=1)
    assert arrays(bridged) == arrays(natively)


def test_a_model_of_many_chunks(native: Federation, warm: Federation) -> None:
    natively, bridged = map(
        values, run_on([native, warm], "large", ".json", megabytes=20, evaluate=False)
    )
    assert (bridged["bytes"], bridged["sha256"]) == (natively["bytes"], natively["sha256"])


def test_two_runs_at_once_share_the_stations(warm: Federation) -> None:
    counters, weights = warm.folder / "at-once.json", warm.folder / "at-once.npz"
    submissions = [
        warm.submit("stateful", result=counters, num_server_rounds=1),
        warm.submit("shadow", result=weights, num_server_rounds=1),
    ]
    for submission in submissions:
        finish(submission)
    assert values(counters) == {"train": {"1": [1, 1]}, "evaluate": {"1": [2, 2]}}
    assert arrays(weights)
