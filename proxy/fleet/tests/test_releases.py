"""Which Flower releases the bridge speaks to, and how."""

import pytest

from proxy.errors import FlowerError
from proxy.fleet.releases import ERAS, Era, era_of


@pytest.mark.parametrize(
    ("release", "first"),
    [
        ("1.15.1", (1, 15, 1)),
        ("1.18.0", (1, 15, 1)),
        ("1.19.0", (1, 19)),
        ("1.20.0", (1, 20)),
        ("1.22.0", (1, 21)),
        ("1.26.1", (1, 26)),
        ("1.31.0", (1, 26)),
        ("1.39.0", (1, 37)),
        ("1.40", (1, 40)),
        ("1.42.0", (1, 40)),
    ],
)
def test_a_release_belongs_to_the_last_era_that_began_before_it(
    release: str, first: tuple[int, ...]
) -> None:
    assert era_of(release).first == first


@pytest.mark.parametrize("release", ["1.43.0.dev20270101", "1.100.2", "2.0.0"])
def test_a_release_to_come_is_taken_for_one_of_the_newest_era(release: str) -> None:
    assert era_of(release) is ERAS[-1]


@pytest.mark.parametrize(
    "release", ["1.15.0", "1.14.0", "1.8.0", "0.19", "1", "", "unknown", "v1.41.0"]
)
def test_an_older_release_is_refused_naming_it_and_the_oldest_supported(release: str) -> None:
    with pytest.raises(FlowerError) as caught:
        era_of(release)
    assert f"Flower {release} is not supported" in caught.value.message
    assert "1.15.1" in caught.value.message
    assert "flwr>=1.15.1" in caught.value.hint


def test_eras_follow_one_another() -> None:
    firsts = [era.first for era in ERAS]
    assert firsts == sorted(set(firsts))


@pytest.mark.parametrize("era", ERAS, ids=lambda era: f"from {era.first}")
def test_commands_say_where_each_value_goes(era: Era) -> None:
    assert {"{fleet}", "{fleet_port}"} & set(era.superlink)
    assert {"{superlink}", "{node_config}"} <= set(era.supernode)
    assert {"{other}", "{other_port}"} & set(era.supernode)
    assert "{name}" in era.list_runs


@pytest.mark.parametrize("era", ERAS, ids=lambda era: f"from {era.first}")
def test_the_superlink_listens_where_flwr_run_looks_for_it(era: Era) -> None:
    port = era.control.replace("}", "_port}")
    assert {era.control, port} & set(era.superlink)
