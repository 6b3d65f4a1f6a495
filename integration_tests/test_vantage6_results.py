"""An app that runs in a real vantage6 ends with what it ends with natively, to the last bit.

Which app, in which collaboration, in which way: each of them occurs. The tests that are marked as
thorough complete the table; `make test-vantage6` runs them, too.
"""

from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import native_federation, run_report
from integration_tests.test_results import values
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.runs import (
    APPS,
    ATTACHED,
    DIGITS_CSV,
    DIRECT,
    PER_ROUND,
    WARM,
    WAYS,
    Config,
    Natively,
    Researcher,
    digits_tables,
    read,
    run_on_federation,
)
from integration_tests.vantage6.stack import Collaboration
from integration_tests.vantage6.tables import DIGITS

IN_CI = [
    ("stateful", "plain", WARM),
    ("queries", "encrypted", PER_ROUND),
    ("raising", "plain", ATTACHED),
    ("stateful", "encrypted", DIRECT),
]
ALL = [
    (app, where, way)
    for app in APPS
    for where in ("plain", "encrypted")
    for way in WAYS
    # What a ClientApp keeps between messages needs a SuperNode that is kept warm, or none at all.
    if app != "stateful" or way not in (PER_ROUND, ATTACHED)
]
thorough = pytest.mark.thorough


@pytest.fixture
def researcher(flower: Flower, image_of: ImageOf, tmp_path: Path) -> Researcher:
    """A researcher with a folder for this test."""
    return Researcher(flower, image_of, tmp_path)


@pytest.mark.parametrize(
    ("app", "where", "way"),
    [
        pytest.param(
            *choice,
            marks=() if choice in IN_CI else thorough,
            id="-".join([*choice[:2], WAYS[choice[2]]]),
        )
        for choice in ALL
    ],
)
def test_an_app_ends_as_natively(
    app: str,
    where: str,
    way: tuple[str, ...],
    natively: Natively,
    researcher: Researcher,
    request: pytest.FixtureRequest,
) -> None:
    config, collaboration = APPS[app], request.getfixturevalue(where)
    if way == ATTACHED:
        result = researcher.attaches(app, config, collaboration, *way[1:])
    else:
        submission = researcher.submits(app, config, collaboration, *way)
        assert submission.exit_code == 0, submission.log_tail(60)
        result = researcher.output / str(config["result"])
    assert read(result) == natively(app, config)


@pytest.fixture(scope="module")
def natively_of_three(
    flower: Flower, plain: Collaboration, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What `digits_csv` ends with on three SuperNodes without the bridge."""
    folder = tmp_path_factory.mktemp("native-of-three")
    with native_federation(flower, folder, digits_tables(plain)) as federation:
        return read(run_on_federation(federation, "digits_csv", {**DIGITS_CSV, "num_stations": 3}))


@thorough
@pytest.mark.parametrize(
    ("where", "way"),
    [
        pytest.param("encrypted", WARM, id="encrypted-warm"),
        pytest.param("plain", WARM, id="plain-warm"),
        pytest.param("plain", PER_ROUND, id="plain-per-round"),
        pytest.param("encrypted", PER_ROUND, id="encrypted-per-round"),
    ],
)
def test_each_of_three_stations_learns_from_its_own_table_as_natively(
    where: str,
    way: tuple[str, ...],
    natively_of_three: Any,
    researcher: Researcher,
    request: pytest.FixtureRequest,
) -> None:
    collaboration: Collaboration = request.getfixturevalue(where)
    submission = researcher.submits(
        "digits_csv", DIGITS_CSV, collaboration, *way, "--database", "digits", of=3
    )
    assert submission.exit_code == 0, submission.log_tail(60)
    ended = values(researcher.output / "result.json")
    # What is asked in round 1 is the same. Later it depends on the order in which replies came.
    assert next(iter(ended["answers"])) == next(iter(natively_of_three["answers"]))
    for asked, answers in ended["answers"].items():
        assert sorted(answers) == ["0", "1", "2"]
        assert answers == natively_of_three["answers"].get(asked, answers)
    assert ended["accuracy"]["2"] > 0.8
    trained = {
        row["organization"]: row["num-examples"]
        for row in run_report(researcher.output)["metrics"]
        if row["message_type"] == "train"
    }
    names = [each.name for each in collaboration.organizations]
    assert trained == dict(zip(names, DIGITS, strict=True))


def test_a_station_without_the_database_that_is_asked_for_says_so(
    plain: Collaboration, researcher: Researcher
) -> None:
    submission = researcher.submits("digits_csv", DIGITS_CSV, plain, "--database", "nowhere")
    assert submission.exit_code == 1
    reason = "The task needs the database 'nowhere', which this node does not have."
    errors = [each["error"] for each in run_report(researcher.output)["messages"]]
    assert len(errors) == 2
    for error in errors:
        assert reason in error
    # The app raises what the first station to answer said: either may be the first.
    log = submission.log_tail(60)
    assert any(
        f"no station trained: {each.name}: {reason}" in log for each in plain.organizations[:2]
    )


@pytest.mark.parametrize(
    ("where", "megabytes"),
    [
        pytest.param("plain", 20),
        pytest.param("plain", 100, marks=thorough),
        pytest.param("encrypted", 100, marks=thorough),
    ],
)
def test_a_large_model_passes_both_ways(
    where: str,
    megabytes: int,
    natively: Natively,
    researcher: Researcher,
    request: pytest.FixtureRequest,
) -> None:
    config: Config = {"megabytes": megabytes, "evaluate": False, "result": Path("result.json")}
    submission = researcher.submits("large", config, request.getfixturevalue(where), *WARM)
    assert submission.exit_code == 0, submission.log_tail(60)
    ended = read(researcher.output / "result.json")
    assert ended["bytes"] == megabytes * 1_000_000
    assert ended["sha256"] == natively("large", config)["sha256"]


@thorough
def test_a_model_that_the_server_cannot_store_is_not_sent(
    plain: Collaboration, researcher: Researcher
) -> None:
    config: Config = {"megabytes": 600, "evaluate": False, "result": Path("result.json")}
    submission = researcher.submits("large", config, plain, *WARM)
    assert submission.exit_code == 1
    errors = [each["error"] for each in run_report(researcher.output)["messages"]]
    assert len(errors) == 2
    for error in errors:
        assert "more than the vantage6 server can store: 301500000" in error
