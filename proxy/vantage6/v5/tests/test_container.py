"""The contract of a vantage6 5 container, and databases that were extracted into its session."""

import base64
import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.contracts import container_of
from proxy.errors import CarrierError
from proxy.platforms import VANTAGE6_5
from proxy.vantage6.container import Database
from proxy.vantage6.v5.container import read
from proxy.vantage6.v5.extracted import forget_those_for_one_run, keep, read_extracted


def told(**values: str) -> dict[str, str]:
    return {
        name: base64.b32encode(value.encode()).decode().replace("=", "!")
        for name, value in values.items()
    }


def environment(session: Path, **more: str) -> dict[str, str]:
    """Return what a node sets for a function that computes."""
    return told(
        INPUT_FILE="/app/vantage6/task/input",
        OUTPUT_FILE="/app/vantage6/task/output",
        SESSION_FOLDER=str(session),
        SESSION_FILE=str(session / "session_state.parquet"),
        ALGORITHM_METHOD="courier",
        FUNCTION_ACTION="federated_compute",
        TASK_ID="7",
        HOST="http://10.0.0.1",
        PORT="7654",
        API_PATH="",
        **more,
    )


def test_the_environment_tells_the_generation_and_the_function(tmp_path: Path) -> None:
    container = container_of(environment(tmp_path))
    assert container.platform is VANTAGE6_5
    assert (container.method, container.token) == ("courier", "")
    assert container.server == "http://10.0.0.1:7654"
    assert container.databases == {}


def test_a_central_function_has_a_token_that_is_not_encoded(tmp_path: Path) -> None:
    container = read({**environment(tmp_path), "CONTAINER_TOKEN": "a.b.c"})
    assert container.token == "a.b.c"  # noqa: S105
    assert "a.b.c" not in repr(container)


def test_each_job_has_a_folder_of_its_own_in_the_session(tmp_path: Path) -> None:
    container = read(environment(tmp_path))
    assert container.job_folder("task7") == tmp_path / "flower-v6" / "jobs" / "task7"


def test_a_function_that_extracts_has_one_database(tmp_path: Path) -> None:
    container = read(environment(tmp_path, DATABASE_URI="/data/a.csv", DATABASE_TYPE="csv"))
    assert container.databases == {"": Database("/data/a.csv", "csv")}


@pytest.mark.parametrize("name", ["SESSION_FOLDER", "INPUT_FILE", "ALGORITHM_METHOD", "HOST"])
def test_a_variable_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    variables = environment(tmp_path)
    del variables[name]
    with pytest.raises(CarrierError, match=f"{name} is missing"):
        read(variables)


@given(st.text(st.characters(codec="utf-8")))
def test_dataframes_of_any_name_are_read_or_a_carrier_error(names: str) -> None:
    with contextlib.suppress(CarrierError):
        read(environment(Path("/no/session"), USER_REQUESTED_DATAFRAMES=names))


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CarrierError, match="names no dataframe"):
        read(environment(tmp_path, USER_REQUESTED_DATAFRAMES="digits,../../etc"))


# Extracted databases


@pytest.fixture
def table(tmp_path: Path) -> Database:
    source = tmp_path / "digits.csv"
    source.write_text("a,b\n1,2\n")
    return Database(str(source), "csv")


def test_a_clientapp_finds_the_file_under_its_label(tmp_path: Path, table: Database) -> None:
    session = tmp_path / "session"
    keep(session, "df-1", "digits", table, for_one_run=True)
    container = read(environment(session, USER_REQUESTED_DATAFRAMES="df-1"))
    [(label, database)] = container.databases.items()
    assert (label, database.type) == ("digits", "csv")
    assert Path(database.uri).name == "digits.csv"
    assert Path(database.uri).read_text() == "a,b\n1,2\n"


def test_a_folder_is_copied_with_all_that_is_in_it(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    (scans / "sub").mkdir(parents=True)
    (scans / "sub" / "1.png").write_bytes(b"png")
    keep(tmp_path / "session", "df", "scans", Database(str(scans), "folder"), for_one_run=False)
    _, database = read_extracted(tmp_path / "session", "df")
    assert Path(database.uri, "sub", "1.png").read_bytes() == b"png"


def test_links_in_a_folder_stay_links_and_end_nowhere_else(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "1.png").write_bytes(b"png")
    (scans / "latest.png").symlink_to("1.png")
    (scans / "all").symlink_to(".")
    keep(tmp_path / "session", "df", "scans", Database(str(scans), "folder"), for_one_run=False)
    _, database = read_extracted(tmp_path / "session", "df")
    assert Path(database.uri, "latest.png").read_bytes() == b"png"
    names = sorted(each.name for each in Path(database.uri).rglob("*"))
    assert names == ["1.png", "all", "latest.png"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "nothing"])
def test_a_folder_with_a_link_that_leads_elsewhere_is_not_copied(
    tmp_path: Path, target: str
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (tmp_path / "outside").write_text("of others")
    (scans / "link").symlink_to(target)
    with pytest.raises(CarrierError, match="links in it lead elsewhere"):
        keep(tmp_path / "session", "df", "scans", Database(str(scans), "folder"), for_one_run=False)
    assert not list((tmp_path / "session").rglob("scans"))


def test_what_cannot_be_copied_is_counted_and_not_named(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    os.mkfifo(scans / "Ada Lovelace")
    with pytest.raises(CarrierError, match="files in it cannot be read") as caught:
        keep(tmp_path / "session", "df", "scans", Database(str(scans), "folder"), for_one_run=False)
    assert "Ada" not in str(caught.value)


def test_a_dataframe_of_another_function_is_its_parquet_file(tmp_path: Path) -> None:
    container = read(environment(tmp_path, USER_REQUESTED_DATAFRAMES="patients;visits,notes"))
    assert list(container.databases) == ["patients", "visits", "notes"]
    expected = Database(str(tmp_path / "visits.parquet"), "parquet")
    assert container.databases["visits"] == expected


def test_a_database_behind_an_address_cannot_be_copied(tmp_path: Path) -> None:
    with pytest.raises(CarrierError, match="no file and no folder") as caught:
        keep(tmp_path, "df", "hospital", Database("postgresql://db/x", "sql"), for_one_run=True)
    assert "ClientApp reads files" in caught.value.hint


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, table: Database) -> None:
    (tmp_path / "flower-v6").write_text("in the way")
    with pytest.raises(CarrierError, match="cannot be copied into the session"):
        keep(tmp_path, "df", "digits", table, for_one_run=True)


NOTE = '{"label": "x", "type": "csv", "file": %s}'


@pytest.mark.parametrize(
    "noted", ["", "[]", "{}", NOTE % 7, NOTE % '""', NOTE % '".."', NOTE % '"a/../.."']
)
def test_a_damaged_note_is_an_error_or_leads_into_its_folder(tmp_path: Path, noted: str) -> None:
    folder = tmp_path / "flower-v6" / "data" / "df"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(noted)
    with contextlib.suppress(CarrierError):
        _, database = read_extracted(tmp_path, "df")
        assert Path(database.uri).parent == folder


def test_a_note_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "flower-v6" / "data" / "df"
    folder.mkdir(parents=True)
    about = {"label": "x", "type": "csv", "file": "/etc/passwd"}
    (folder / "about.json").write_text(json.dumps(about))
    assert read_extracted(tmp_path, "df")[1].uri == str(folder / "passwd")


def test_only_copies_that_were_made_for_one_run_are_forgotten(
    tmp_path: Path, table: Database
) -> None:
    session = tmp_path / "session"
    keep(session, "one", "digits", table, for_one_run=True)
    keep(session, "kept", "digits", table, for_one_run=False)
    forget_those_for_one_run(session)
    left = [path.name for path in (session / "flower-v6" / "data").iterdir()]
    assert left == ["kept"]


@pytest.mark.parametrize("original", ["images", "images/1.png"])
def test_a_copy_that_is_removed_while_it_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original: str
) -> None:
    images, session, copyfile = tmp_path / "images", tmp_path / "session", shutil.copyfile
    for each in (images / "1.png", images / "more" / "2.png"):
        each.parent.mkdir(exist_ok=True)
        each.write_text("a scan")

    def copied_and_removed(source: Path, copy: Path, **options: bool) -> Path:
        copyfile(source, copy, **options)
        forget_those_for_one_run(session)
        return copy

    monkeypatch.setattr("shutil.copyfile", copied_and_removed)
    with pytest.raises(CarrierError, match="cannot be copied"):
        keep(session, "one", "scans", Database(str(tmp_path / original), "other"), for_one_run=True)
    assert not list(session.glob("flower-v6/data/*"))


def test_a_copy_that_was_begun_and_killed_is_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path, copy: Path) -> None:
        copy.write_text("half of it")
        raise SystemExit

    table = tmp_path / "digits.csv"
    table.write_text("all of it")
    monkeypatch.setattr("shutil.copyfile", killed)
    with pytest.raises(SystemExit):
        keep(tmp_path, "one", "digits", Database(str(table), "csv"), for_one_run=True)
    forget_those_for_one_run(tmp_path)
    assert not list(tmp_path.glob("flower-v6/data/*"))
