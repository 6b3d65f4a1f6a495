"""What an algorithm store says of an image.

The store's own validation is asked in `integration_tests/vantage6/test_algorithm_store.py`.
"""

from dataclasses import fields

from algorithm.__main__ import FUNCTIONS
from algorithm.functions.arguments import Arguments
from algorithm.functions.result import COLUMNS, ROWS
from algorithm.image.store_entry import store_entry
from algorithm.tests.fabs import MANIFEST

PROJECT = {"description": "Counts", "urls": {"Source": "https://code.example/app"}}
ENTRY = store_entry("reg/app:1", MANIFEST, PROJECT)


def test_an_entry_names_the_image_its_code_and_its_app() -> None:
    assert ENTRY["image"] == "reg/app:1"
    assert ENTRY["code_url"] == "https://code.example/app"
    assert MANIFEST.fab_sha256 in ENTRY["submission_comments"]


def test_an_entry_names_every_function_of_the_image() -> None:
    only_in_5 = {"ask", "end", "extract"}
    assert {each["name"] for each in ENTRY["functions"]} == set(FUNCTIONS) - only_in_5


def test_only_the_central_stands_alone() -> None:
    assert [each["name"] for each in ENTRY["functions"] if each["standalone"]] == ["central"]


def test_the_central_takes_the_arguments_that_the_entry_names() -> None:
    central = ENTRY["functions"][0]
    assert {each["name"] for each in central["arguments"]} == {
        each.name
        for each in fields(Arguments)
        if each.name != "dataframes"  # `submit` gives them
    }


def test_the_defaults_in_the_entry_are_those_of_the_central() -> None:
    central = ENTRY["functions"][0]
    given = {each["name"]: each["default_value"] for each in central["arguments"]}
    converted = {
        **given,
        "run_config": {},
        "deadline": float(given["deadline"]),
    }
    assert Arguments.checked(converted, []) == Arguments.checked({}, [])


def test_the_visualizations_find_their_data_in_the_result() -> None:
    table, line = ENTRY["functions"][0]["ui_visualizations"]
    assert (table["type"], table["schema"]["location"]) == ("table", [ROWS])
    assert (line["type"], line["schema"]["location"]) == ("line", [COLUMNS])


def test_an_app_that_says_little_has_an_entry_too() -> None:
    entry = store_entry("app:1", MANIFEST, {})
    assert entry["description"] == "The Flower app app"
    assert entry["code_url"] == ""
