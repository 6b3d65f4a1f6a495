"""An app that runs in a real vantage6 5 ends with what it ends with natively, to the last bit.

The tests that are marked as thorough complete the table of app, collaboration and way; `make
test-vantage6` runs them, too.
"""

from pathlib import Path
from typing import Any

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    Federation,
    attached_federation,
    native_federation,
    run_report,
    start,
    wait_until,
)
from integration_tests.test_results import arrays, values
from integration_tests.vantage6.apps import ImageOf
from integration_tests.vantage6.command import login
from integration_tests.vantage6.runs import (
    APPS,
    DIGITS_CSV,
    DIRECT,
    DIRECT_PER_ROUND,
    PER_ROUND,
    WARM,
    Config,
    Natively,
    Researcher,
    digits_tables,
    organizations,
    read,
    run_on_federation,
)
from integration_tests.vantage6.tables import DIGITS
from integration_tests.vantage6_5.stack import Collaboration, Stack

ATTACHED_WARM = ("attach", "--supernodes", "warm")
ATTACHED_PER_ROUND = ("attach", "--supernodes", "per-round")
WAYS = {
    WARM: "warm",
    PER_ROUND: "per-round",
    ATTACHED_WARM: "attached-warm",
    ATTACHED_PER_ROUND: "attached-per-round",
    DIRECT: "direct",
    DIRECT_PER_ROUND: "direct-per-round",
}
WHERE = ("plain_5", "encrypted_5")
IN_CI = ("stateful", "plain_5", WARM)
ALL = [
    (app, where, way)
    for app in APPS
    for where in WHERE
    for way in WAYS
    # What a ClientApp keeps between messages needs a SuperNode that is kept warm, or none at all.
    if app != "stateful" or way not in (PER_ROUND, ATTACHED_PER_ROUND)
]
thorough = pytest.mark.thorough


@pytest.fixture
def researcher(flower: Flower, image_of_5: ImageOf, tmp_path: Path) -> Researcher:
    """A researcher with a folder for this test."""
    return Researcher(flower, image_of_5, tmp_path)


@pytest.mark.parametrize(
    ("app", "where", "way"),
    [
        pytest.param(
            *choice,
            marks=() if choice == IN_CI else thorough,
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
    if way[0] == "attach":
        result = researcher.attaches(app, config, collaboration, *way[1:])
    else:
        submission = researcher.submits(app, config, collaboration, *way)
        assert submission.exit_code == 0, submission.log_tail(60)
        result = researcher.output / str(config["result"])
    assert read(result) == natively(app, config)


@pytest.fixture(scope="module")
def natively_of_two(
    flower: Flower, plain_5: Collaboration, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What `digits_csv` ends with on two SuperNodes without the bridge."""
    folder = tmp_path_factory.mktemp("native-of-two")
    with native_federation(flower, folder, digits_tables(plain_5)[:2]) as federation:
        return read(run_on_federation(federation, "digits_csv", {**DIGITS_CSV, "num_stations": 2}))


@thorough
@pytest.mark.parametrize("way", [WARM, PER_ROUND, DIRECT, DIRECT_PER_ROUND], ids=WAYS.get)
@pytest.mark.parametrize("where", WHERE)
def test_each_station_learns_from_its_own_extracted_table_as_natively(
    where: str,
    way: tuple[str, ...],
    natively_of_two: Any,
    researcher: Researcher,
    request: pytest.FixtureRequest,
) -> None:
    collaboration: Collaboration = request.getfixturevalue(where)
    submission = researcher.submits(
        "digits_csv", DIGITS_CSV, collaboration, *way, "--database", "digits"
    )
    assert submission.exit_code == 0, submission.log_tail(60)
    assert values(researcher.output / "result.json") == natively_of_two
    trained = {
        row["organization"]: row["num-examples"]
        for row in run_report(researcher.output)["metrics"]
        if row["message_type"] == "train"
    }
    names = [each.name for each in collaboration.organizations[:2]]
    assert trained == dict(zip(names, DIGITS, strict=False))


# Its ClientApp keeps its secrets from one stage to the next, see above.
@thorough
@pytest.mark.parametrize("way", [WARM, DIRECT, DIRECT_PER_ROUND], ids=WAYS.get)
@pytest.mark.parametrize("where", WHERE)
def test_secure_aggregation_ends_as_natively(
    where: str,
    way: tuple[str, ...],
    flower: Flower,
    researcher: Researcher,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    config: Config = {"result": Path("result.npz")}
    submission = researcher.submits("secagg", config, request.getfixturevalue(where), *way, of=3)
    assert submission.exit_code == 0, submission.log_tail(60)
    with native_federation(flower, tmp_path / "native", ["", "", ""]) as native:
        expected = read(run_on_federation(native, "secagg", {**config, "num_stations": 3}))
    assert arrays(researcher.output / "result.npz") == expected


@pytest.fixture(scope="module")
def attached_warm(
    flower: Flower,
    plain_5: Collaboration,
    image_of_5: ImageOf,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A SuperLink whose SuperNodes are warm ones at two organizations."""
    with attached_federation(
        flower,
        tmp_path_factory.mktemp("attached"),
        *("--vantage6", image_of_5("stateful")),
        *organizations(plain_5, 2),
        *ATTACHED_WARM[1:],
        environment=login(plain_5),
    ) as federation:
        yield federation


@thorough
def test_two_runs_on_attached_warm_supernodes_end_as_on_native_ones(
    attached_warm: Federation, natively: Natively
) -> None:
    """Each run has a state of its own, which lasts as long as the run."""
    for _ in range(2):
        result = run_on_federation(attached_warm, "stateful", APPS["stateful"])
        assert read(result) == natively("stateful", APPS["stateful"])


@thorough
def test_attached_warm_supernodes_outlive_a_run(
    attached_warm: Federation, plain_5: Collaboration
) -> None:
    before = {each.run for each in plain_5.containers()}
    run_on_federation(attached_warm, "stateful", APPS["stateful"])
    assert len(before & {each.run for each in plain_5.containers()}) == 2


def test_a_user_logs_in_with_a_browser(
    vantage6_5: Stack, plain_5: Collaboration, researcher: Researcher, image_of_5: ImageOf
) -> None:
    environment = {
        name: value
        for name, value in login(plain_5).items()
        if name not in ("FLOWER_V6_USERNAME", "FLOWER_V6_PASSWORD")
    }
    output = researcher.output
    submission = start(
        *("submit", image_of_5("queries"), *DIRECT, "--output", str(output)),
        *organizations(plain_5, 2),
        *("--run-config", 'result="result.json" num-stations=2'),
        log=output.with_name("submit.log"),
        environment=environment,
    )
    realm = vantage6_5.keycloak.realm
    wait_until(
        lambda: any(code in submission.log.read_text() for code in list(realm.devices)),
        "the code is shown",
    )
    (device,) = (
        device for code, device in realm.devices.items() if code in submission.log.read_text()
    )
    device.user = realm.user_named(plain_5.colleague.username)
    try:
        assert submission.wait(600), submission.log_tail(40)
    finally:
        submission.stop()
    assert submission.exit_code == 0, submission.log_tail(40)
    assert (output / "result.json").exists()


@thorough
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("megabytes", [20, 100])
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
    assert ended["sha256"] == natively("large", config)["sha256"]
