"""An app that runs in either mode ends with what it ends with natively, to the last bit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from integration_tests.harness import Direct, Federation, finish, run_on


def arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return all that distinguishes two sets of arrays: names, types, shapes, bits."""
    with np.load(path) as file:
        return {
            name: (str(file[name].dtype), file[name].shape, file[name].tobytes()) for name in file
        }


def values(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    "ways",
    [
        ("native", "warm", "direct"),
        pytest.param(("native", "per_round", "direct_per_round"), marks=pytest.mark.thorough),
    ],
    ids=lambda ways: ways[1],
)
def test_the_demo_trains_the_same_model_bit_by_bit(
    ways: Sequence[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    natively, *others = run_on(
        [request.getfixturevalue(way) for way in ways],
        "digits",
        ".npz",
        model=tmp_path / "model.pt",
        num_server_rounds=1,
    )
    for result in others:
        assert arrays(result) == arrays(natively)


def test_a_client_counts_on_as_natively(
    native: Federation,
    warm: Federation,
    per_round: Federation,
    direct: Direct,
    direct_per_round: Direct,
) -> None:
    """The state of a ClientApp lives as long as its SuperNode; in direct mode it is a file."""
    natively, lost, *kept = map(
        values,
        run_on(
            [native, per_round, warm, direct, direct_per_round],
            "stateful",
            ".json",
            num_server_rounds=1,
        ),
    )
    assert kept == [natively] * 3
    assert natively["evaluate"]["1"] == [2, 2]
    assert lost["evaluate"]["1"] == [1, 1]


def test_an_exception_reaches_the_strategy_in_the_same_words(
    native: Federation, warm: Federation, direct: Direct
) -> None:
    natively, *others = map(
        values, run_on([native, warm, direct], "raising", ".json", num_server_rounds=2)
    )
    assert others == [natively] * 2
    assert natively["rounds"][1]["errors"][0]["reason"].startswith("<class 'ValueError'>")


def test_queries_and_messages_whose_replies_nobody_collects(
    native: Federation, warm: Federation, direct: Direct
) -> None:
    natively, *others = map(values, run_on([native, warm, direct], "queries", ".json"))
    assert others == [natively] * 2


def test_the_api_of_old_apps(native: Federation, warm: Federation, direct: Direct) -> None:
    """NumPyClient and flwr.server.strategy."""
    natively, *others = map(
        arrays, run_on([native, warm, direct], "legacy", ".npz", num_server_rounds=1)
    )
    assert others == [natively] * 2


def test_a_model_of_many_chunks(native: Federation, warm: Federation, direct: Direct) -> None:
    natively, *others = map(
        values, run_on([native, warm, direct], "large", ".json", megabytes=20, evaluate=False)
    )
    for result in others:
        assert (result["bytes"], result["sha256"]) == (natively["bytes"], natively["sha256"])


def test_a_model_of_many_arrays(native: Federation, warm: Federation, direct: Direct) -> None:
    config = {"kilobytes": 10, "num_arrays": 30, "evaluate": False}
    natively, *others = map(values, run_on([native, warm, direct], "large", ".json", **config))
    for result in others:
        assert (result["bytes"], result["sha256"]) == (natively["bytes"], natively["sha256"])


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
