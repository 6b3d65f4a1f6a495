"""`flower-v6 compat` on real releases, and what the README says of them."""

import json

import pytest

from algorithm.compat.vantage6 import examine as vantage6
from algorithm.compat.vantage6.contract import GENERATIONS
from algorithm.compat.verdict import Verdict, decode
from integration_tests.compatibility import (
    ABOUT_VANTAGE6,
    FOUND,
    FOUND_OF_VANTAGE6,
    README,
    section,
    updated,
    updated_for_vantage6,
)
from integration_tests.harness import flower_v6, installed
from proxy.fleet.releases import NEWEST_TRIED, version_of

# One of each kind of Fleet API that `test_releases.py` has not, nor the installed release.
RELEASES = ("1.18.0", "1.19.0", "1.32.1")


def test_the_installed_release_fits() -> None:
    ended = flower_v6("compat", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (found,) = json.loads(ended.stdout)["releases"]
    assert found["status"] == "fits"


@pytest.mark.parametrize("release", RELEASES)
def test_an_app_ends_as_natively_on_every_kind_of_fleet_api(release: str) -> None:
    folder = str(installed(release).folder)
    ended = flower_v6("compat", "--live", "--json", "--flower-env", folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (found,) = json.loads(ended.stdout)["releases"]
    assert (found["release"], found["status"]) == (release, "works")
    assert found["direct"] == ("works" if version_of(release) >= (1, 20) else "none")


def test_the_readme_says_what_make_compat_found() -> None:
    readme = README.read_text()
    assert updated(readme, decode(FOUND.read_text())) == readme


def test_the_pages_say_what_make_compat_vantage6_found() -> None:
    found = vantage6.decode(FOUND_OF_VANTAGE6.read_text())
    for path in (README, ABOUT_VANTAGE6):
        page = path.read_text()
        assert updated_for_vantage6(page, found) == page


def test_the_releases_of_vantage6_that_the_tests_run_fit() -> None:
    releases = sorted(release for each in GENERATIONS for release in each.tried)
    ended = flower_v6("compat", "--vantage6", *releases, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)["releases"]
    assert [(each["release"], each["status"]) for each in found] == [
        (release, "works") for release in releases
    ]


def test_the_newest_release_that_was_tried_is_known() -> None:
    tried = [each.release for each in decode(FOUND.read_text()) if each.status == "works"]
    assert version_of(tried[-1]) == NEWEST_TRIED


def test_a_release_that_is_broken_has_a_row_of_its_own() -> None:
    verdicts = [
        Verdict("1.96.0", "1.40", "http", tried=True),
        Verdict("1.97.0", "1.40", "http", tried=True, direct_reasons=[]),
        Verdict("1.98.0", "1.40", "http", tried=True, failure="it fell over"),
        Verdict("1.99.0", "1.40", "http", direct_reasons=["there is no flwr.a:b"]),
    ]
    assert section(verdicts).splitlines() == [
        "The bridge speaks Flower 1.96.0 to 1.99.0: 3 of the 4 releases in that window.",
        "",
        "| Releases | Fleet API | An app through the bridge | In direct mode |",
        "|---|---|---|---|",
        "| 1.96.0 | HTTP | same results as natively | there is none |",
        "| 1.97.0 | HTTP | same results as natively | same results as natively |",
        "| 1.98.0 | HTTP | **broken**: it fell over | there is none |",
        "| 1.99.0 | HTTP | not tried out; by what it publishes it fits"
        " | **broken**: there is no flwr.a:b |",
    ]
