"""The contract of a vantage6 container: what one side writes, the other reads."""

import base64
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import CarrierError
from proxy.platforms import LOCAL, VANTAGE6_4
from proxy.vantage6.container import Container, Database, decoded
from proxy.vantage6.v4.container import read, written

CONTAINER = Container(
    Path("/in put"), Path("/output"), Path("/jöb"), {"scans": Database("/data", "folder")}
)

paths = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(Path)
databases = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True),
    st.builds(Database, st.text(st.characters(codec="utf-8")), st.just("csv")),
)


@given(st.builds(Container, paths, paths, paths, databases))
def test_any_contract_is_read_as_it_was_written(container: Container) -> None:
    assert replace(read(written(container)), jobs_folder=container.jobs_folder) == container


def test_a_contract_is_written_as_vantage6_writes_it() -> None:
    def decoded(value: str) -> str:
        return base64.b32decode(value.replace("!", "=")).decode()

    environment = written(CONTAINER)
    assert not [value for value in environment.values() if "=" in value]
    assert {name: decoded(value) for name, value in environment.items()} == {
        "INPUT_FILE": "/in put",
        "OUTPUT_FILE": "/output",
        "TEMPORARY_FOLDER": "/jöb",
        "USER_REQUESTED_DATABASE_LABELS": "scans",
        "SCANS_DATABASE_URI": "/data",
        "SCANS_DATABASE_TYPE": "folder",
    }


@pytest.mark.parametrize("name", [n for n in written(CONTAINER) if n != "SCANS_DATABASE_URI"])
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    environment = written(CONTAINER)
    del environment[name]
    with pytest.raises(CarrierError, match=f"{name} is missing"):
        read(environment)


def test_a_database_that_the_node_does_not_have_is_named() -> None:
    environment = written(CONTAINER)
    del environment["SCANS_DATABASE_URI"]
    container = read(environment)
    assert (container.databases, container.missing_databases) == ({}, ("scans",))
    with pytest.raises(CarrierError, match="needs the database 'scans'"):
        container.check_databases()


def test_a_container_of_a_node_finds_its_server_and_its_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token\n")
    given = {
        "TOKEN_FILE": str(tmp_path / "token"),
        "HOST": "http://10.0.0.1",
        "PORT": "8080",
        "API_PATH": "",
    }
    told = {
        name: base64.b32encode(value.encode()).decode().replace("=", "!")
        for name, value in given.items()
    }
    found = read({**written(CONTAINER), **told})
    assert (found.token, found.server) == ("a token", "http://10.0.0.1:8080")
    assert found.platform is VANTAGE6_4


def test_a_function_that_the_bridge_starts_itself_is_on_this_machine() -> None:
    assert read(written(CONTAINER)).platform is LOCAL


@given(st.text())
def test_a_variable_with_any_other_value_is_read_or_a_carrier_error(value: str) -> None:
    environment = {**written(CONTAINER), "OUTPUT_FILE": value}
    with contextlib.suppress(CarrierError):
        assert isinstance(read(environment), Container)


def test_what_a_node_sets_is_decoded_and_what_the_image_sets_is_left_alone() -> None:
    given = {"PATH": "/usr/bin:/bin", "FLWR_VERSION": "1.41.0", "EMPTY": "", "GREETING": "NBUQ!!!!"}
    assert decoded(given) == {**given, "GREETING": "hi"}


def test_a_path_with_a_zero_byte_is_a_carrier_error() -> None:
    environment = written(Container(Path("in"), Path("a\0b"), Path("tmp")))
    with pytest.raises(CarrierError, match="OUTPUT_FILE names no file"):
        read(environment)


def test_a_token_that_cannot_be_read_is_a_carrier_error(tmp_path: Path) -> None:
    token = base64.b32encode(str(tmp_path / "none").encode()).decode().replace("=", "!")
    more = dict.fromkeys(("HOST", "PORT", "API_PATH"), "")
    with pytest.raises(CarrierError, match="token file cannot be read: No such file"):
        read({**written(CONTAINER), **more, "TOKEN_FILE": token})


def test_jobs_that_have_a_name_have_folders_beside_the_runs() -> None:
    container = read(written(Container(Path("/mnt/data/7/input"), Path("/o"), Path("/mnt/tmp"))))
    assert container.job_folder("a1") == Path("/mnt/data/flower-v6/a1")
    assert container.job_folder(None) == Path("/mnt/tmp")
