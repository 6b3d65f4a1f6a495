"""What a station runs, and what it refuses: what the image brings, and its owner allows."""

import logging
from pathlib import Path

import pytest

from algorithm.flower import manifest
from algorithm.station.policy import (
    ALLOWED_FABS,
    ALLOWED_MODES,
    ALLOWED_RUN_CONFIG,
    Policy,
    Refused,
)
from algorithm.station.runtime import Runtime
from algorithm.tests.fabs import FAB, MANIFEST, PYPROJECT, make_fab
from protos import fleet_pb2 as fleet
from proxy.calls import Mode
from proxy.errors import BridgeError
from proxy.fleet.messages import object_id

OTHER = make_fab({"app/client.py": "steal()"})


def run_of(fab: bytes, *overridden: str, fab_id: str = "me/app", version: str = "1.0") -> fleet.Run:
    run = fleet.Run(run_id=7, fab_id=fab_id, fab_version=version, fab_hash=object_id(fab))
    for key in overridden:
        run.override_config[key].SetInParent()
    return run


def policy(folder: Path, **variables: str) -> Policy:
    """Return the policy in a container of an image, whose node sets these variables."""
    MANIFEST.write(folder / "manifest.json")
    return Policy.from_environment(
        {
            manifest.ENVIRONMENT_VARIABLE: str(folder / "manifest.json"),
            **variables,
        }
    )


# The app


def test_where_nobody_says_anything_every_app_may_run() -> None:
    Policy.from_environment({}).check(run_of(b"any", "any-key"), b"any")


def test_the_images_own_app_may_run(tmp_path: Path) -> None:
    policy(tmp_path).check(run_of(FAB), FAB)


def test_another_app_is_refused_naming_both_hashes_and_the_files_that_differ(
    tmp_path: Path,
) -> None:
    other = make_fab({"app/client.py": "steal()", "app/more.py": "", "app/server.py": "run()"})
    with pytest.raises(Refused) as refused:
        policy(tmp_path).check(run_of(other), other)
    assert object_id(other) in refused.value.message
    assert MANIFEST.fab_sha256 in refused.value.message
    assert "changed: 'app/client.py'; added: 'app/more.py'" in refused.value.message
    assert "server.py" not in refused.value.message


def test_many_differing_files_are_counted(tmp_path: Path) -> None:
    other = make_fab({f"app/{number}.py": "" for number in range(8)})
    with pytest.raises(Refused, match="and 3 more"):
        policy(tmp_path).check(run_of(other), other)


def test_what_is_no_app_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be compared"):
        policy(tmp_path).check(run_of(b"no zip"), b"no zip")


def test_names_of_files_cannot_forge_lines_or_fill_the_log(tmp_path: Path) -> None:
    other = make_fab({f"a\n{'x' * 1000}": ""})
    with pytest.raises(Refused) as refused:
        policy(tmp_path).check(run_of(other), other)
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 600


def test_what_the_run_names_does_not_count_but_what_came(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        policy(tmp_path).check(run_of(FAB), OTHER)


def test_an_owner_may_allow_further_apps(tmp_path: Path) -> None:
    allowing = policy(tmp_path, **{ALLOWED_FABS: f"{'0' * 64}, {object_id(OTHER)}"})
    allowing.check(run_of(OTHER), OTHER)
    allowing.check(run_of(FAB), FAB)
    third = make_fab({"app/third.py": ""})
    with pytest.raises(Refused, match="2 more are listed"):
        allowing.check(run_of(third), third)


def test_the_hash_of_an_app_may_be_in_capital_letters() -> None:
    listing = Policy.from_environment({ALLOWED_FABS: object_id(FAB).upper()})
    listing.check(run_of(FAB), FAB)


def test_an_owner_may_list_the_apps_of_an_image_that_names_none() -> None:
    listing = Policy.from_environment({ALLOWED_FABS: object_id(FAB)})
    listing.check(run_of(FAB), FAB)
    with pytest.raises(Refused, match="none of the 1 that the station's owner allows"):
        listing.check(run_of(OTHER), OTHER)


@pytest.mark.parametrize(
    ("fab_id", "version"), [("me/other", "1.0"), ("me/app", "1.0/../../../mnt/data/x"), ("", "")]
)
def test_a_run_that_leads_flower_to_another_folder_is_refused(
    tmp_path: Path, fab_id: str, version: str
) -> None:
    with pytest.raises(Refused, match="the run names the"):
        policy(tmp_path).check(run_of(FAB, fab_id=fab_id, version=version), FAB)


# The run config


def test_a_run_may_override_what_the_app_declares(tmp_path: Path) -> None:
    policy(tmp_path).check(run_of(FAB, "rounds", "optimizer.rate"), FAB)


def test_another_key_is_refused_naming_those_that_are_allowed(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        policy(tmp_path).check(run_of(FAB, "rounds", "path"), FAB)
    assert "overrides the run config's 'path'" in refused.value.message
    assert "may override 'optimizer.name', 'optimizer.rate', 'rounds'" in refused.value.message


def test_an_owner_may_narrow_what_a_run_may_override(tmp_path: Path) -> None:
    narrow = policy(tmp_path, **{ALLOWED_RUN_CONFIG: "rounds, path"})
    narrow.check(run_of(FAB, "rounds"), FAB)
    for key in ("optimizer.rate", "path"):
        with pytest.raises(Refused, match="may override 'rounds'"):
            narrow.check(run_of(FAB, key), FAB)


def test_an_owner_may_allow_no_override_at_all(tmp_path: Path) -> None:
    strict = policy(tmp_path, **{ALLOWED_RUN_CONFIG: ""})
    strict.check(run_of(FAB), FAB)
    with pytest.raises(Refused, match="may override nothing"):
        strict.check(run_of(FAB, "rounds"), FAB)


def test_a_further_app_has_its_own_keys(tmp_path: Path) -> None:
    other = make_fab({"pyproject.toml": PYPROJECT + "path = 'x'\n"})
    allowing = policy(tmp_path, **{ALLOWED_FABS: object_id(other)})
    allowing.check(run_of(other, "path"), other)
    with pytest.raises(Refused):
        allowing.check(run_of(FAB, "path"), FAB)


# Modes


def start(node_id: int) -> Runtime:
    raise AssertionError("something is started")


def test_an_owner_who_says_nothing_allows_all_modes(tmp_path: Path) -> None:
    for mode in Mode:
        assert policy(tmp_path).permitting(mode, start) is start


def test_an_owner_may_forbid_a_mode(tmp_path: Path) -> None:
    bridge_only = policy(tmp_path, **{ALLOWED_MODES: "bridge"})
    assert bridge_only.permitting("bridge", start) is start
    with pytest.raises(Refused, match=r"in direct mode\. The station's owner allows 'bridge'"):
        bridge_only.permitting("direct", start)(7)


def test_an_owner_may_forbid_all_modes(tmp_path: Path) -> None:
    closed = policy(tmp_path, **{ALLOWED_MODES: ""})
    for mode in Mode:
        with pytest.raises(Refused, match="allows nothing"):
            closed.permitting(mode, start)(7)


def test_to_allow_modes_is_not_to_check_apps() -> None:
    both = Policy.from_environment({ALLOWED_MODES: " direct ,bridge"})
    both.check(run_of(b"no zip", "any-key"), b"no zip")
    Policy.from_environment({ALLOWED_MODES: "direct"}).check(run_of(b"no zip"), b"no zip")


# The verdicts, and what cannot be understood


def test_what_is_allowed_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        policy(tmp_path).check(run_of(FAB, "rounds"), FAB)
    assert caplog.messages == [
        f"policy: run 7 is allowed: app (FAB) {object_id(FAB)}, overriding 'rounds'"
    ]


@pytest.mark.parametrize(
    "environment",
    [
        {ALLOWED_FABS: "not-a-hash"},
        {ALLOWED_MODES: "bridge, straight"},
        {manifest.ENVIRONMENT_VARIABLE: "/nowhere/manifest.json"},
    ],
)
def test_what_cannot_be_understood_is_an_error_and_no_permission(
    environment: dict[str, str],
) -> None:
    with pytest.raises(BridgeError):
        Policy.from_environment(environment)
