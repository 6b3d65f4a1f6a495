"""What the owner of a station that stays may say of it, and what is refused."""

import re
from pathlib import Path

import pytest

from algorithm.station.resident.settings import Settings
from proxy.errors import UsageError

NEEDED = """
lane = "folder:/mnt/share"
name = "north"
folder = "memory"
key = "keys/north"
central = "keys/central.pub"
"""
POLICY = '[policy]\napps = "any"\n'
APP = "5f" * 32


def read(folder: Path, text: str) -> Settings:
    path = folder / "station.toml"
    path.write_text(text)
    return Settings.read(path)


def test_what_is_not_said_has_a_default_and_paths_start_at_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, NEEDED + POLICY)
    assert settings.lane == "folder:/mnt/share"
    assert settings.folder == tmp_path / "memory"
    assert settings.key == tmp_path / "keys/north"
    assert settings.warm
    assert settings.flower_env is None
    assert settings.policy.modes == {"bridge", "direct"}


def test_node_config_and_databases_are_what_the_clientapp_finds(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        f"{NEEDED}{POLICY}[node-config]\npartition-id = 1\n"
        '[databases.default]\nuri = "data.csv"\ntype = "csv"\n'
        '[databases.omop]\nuri = "postgresql://host/db"\ntype = "sql"\n',
    )
    for said in (
        "partition-id=1",
        f'database-uri="{tmp_path}/data.csv"',
        'database-omop-uri="postgresql://host/db"',
        'database-omop-type="sql"',
    ):
        assert said in settings.node_config


def test_a_clientapp_finds_the_stations_name_unless_its_owner_gives_it_another(
    tmp_path: Path,
) -> None:
    assert 'station-name="north"' in read(tmp_path, f"{NEEDED}{POLICY}").node_config
    other = f'{NEEDED}{POLICY}[node-config]\nstation-name = "ward 7"\n'
    assert 'station-name="ward 7"' in read(tmp_path, other).node_config


def test_the_policy_is_the_owners(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        f'{NEEDED}[policy]\napps = ["{APP}"]\nmodes = ["direct"]\nrun-config = ["rate"]\n',
    )
    assert settings.policy.fabs == {APP}
    assert settings.policy.modes == {"direct"}
    assert settings.policy.run_config_keys == frozenset({"rate"})


def test_without_sealing_there_are_no_keys(tmp_path: Path) -> None:
    text = re.sub("(?m)^(key|central) .*$", "", NEEDED)
    settings = read(tmp_path, f"{text}sealed = false\n{POLICY}")
    assert (settings.key, settings.central) == (None, None)
    with pytest.raises(UsageError, match="key is missing: letters are sealed"):
        read(tmp_path, text + POLICY)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "lane is missing"),
        ("lane = 1", "lane has to be a text"),
        ("a = [", "cannot be read"),
        (NEEDED, r"\[policy\] does not say which apps may run"),
        (f"{NEEDED}[policy]\napps = []", "apps has to be a list of SHA-256"),
        (f'{NEEDED}[policy]\napps = ["x"]', "apps in .policy. has 'x', which is not a SHA-256"),
        (f"{NEEDED}[policy]\napps = [1]", "has to be a list of texts"),
        (f'{NEEDED}[policy]\napps = [""]', "apps in .policy. has '': a value is not empty"),
        (f'{NEEDED}[policy]\napps = [","]', "has ',': a value is not empty"),
        (f'{NEEDED}[policy]\napps = "any"\nmodes = ["fast"]', "modes in .policy. holds 'fast'"),
        (f'{NEEDED}[policy]\napps = "any"\nmodes = "any"', "modes in .policy. has to be a list"),
        (f"{NEEDED}color = 1\n{POLICY}", "'color' means nothing in the file"),
        (f'{NEEDED}{POLICY}app = "x"', r"'app' means nothing in \[policy\]"),
        (f"{NEEDED}policy = 1", "policy has to be a table"),
        (f'{NEEDED}supernodes = "hot"\n{POLICY}', "supernodes has to be one of: warm, per-round"),
        (f"{NEEDED}sealed = false\n{POLICY}", "key cannot be given with sealed = false"),
        (f'{NEEDED}sealed = "no"\n{POLICY}', "sealed has to be true or false"),
        (NEEDED.replace("north", "../x") + POLICY, "cannot have the name '../x'"),
        (f"{NEEDED}{POLICY}[node-config]\nwhen = 2026-01-01", "when"),
        (f'{NEEDED}{POLICY}[databases]\ndefault = "x"', "databases.default has to be a table"),
        (f'{NEEDED}{POLICY}[databases.default]\nuri = "x"', "needs a uri and a type"),
    ],
)
def test_what_makes_no_sense_is_refused_and_said(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "lane", ["folder:/mnt/share", "folder:~/share", "folder:sftp://host/share", "kafka://host/x"]
)
def test_a_lane_is_taken_as_it_is(tmp_path: Path, lane: str) -> None:
    assert read(tmp_path, NEEDED.replace("folder:/mnt/share", lane) + POLICY).lane == lane


def test_a_path_may_begin_with_the_home_of_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = re.sub('(?m)^(folder|key|central) = "', r"\g<0>~/", NEEDED)
    settings = read(
        tmp_path,
        f'flower-env = "~/flower"{text}{POLICY}'
        '[databases.default]\nuri = "~/data.csv"\ntype = "csv"\n',
    )
    assert settings.folder == Path("/home/me/memory")
    assert settings.key == Path("/home/me/keys/north")
    assert settings.central == Path("/home/me/keys/central.pub")
    assert settings.flower_env == Path("/home/me/flower")
    assert settings.databases["default"].uri == "/home/me/data.csv"
    with pytest.raises(UsageError, match=r"In .*station.toml: The path '~nobody-there/x'"):
        read(tmp_path, NEEDED.replace("memory", "~nobody-there/x") + POLICY)


def test_a_file_of_an_editor_that_marks_its_encoding_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, f"\ufeff{NEEDED}{POLICY}").name == "north"


def test_a_lane_in_a_folder_whose_path_is_relative_starts_at_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, NEEDED.replace("folder:/mnt/share", "folder:share") + POLICY)
    assert settings.lane == f"folder:{tmp_path}/share"
