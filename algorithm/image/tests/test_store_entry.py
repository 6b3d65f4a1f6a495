"""What an algorithm store says of an image.

The store's own validation is asked in `integration_tests/vantage6/test_algorithm_store.py`.
"""

from dataclasses import fields, replace

from algorithm.__main__ import FUNCTIONS
from algorithm.flower import strict_toml
from algorithm.functions.arguments import Arguments
from algorithm.functions.tables import CHART, ROUNDS, ROWS, only
from algorithm.image.store_entry import store_entry
from algorithm.tests.fabs import MANIFEST, PYPROJECT

PROJECT = {"description": "Counts", "urls": {"Source": "https://code.example/app"}}
DESCRIBED = {**strict_toml.loads(PYPROJECT), "project": PROJECT}
ENTRY = store_entry("reg/app:1", MANIFEST, DESCRIBED)


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
    entry = store_entry("reg/app:1", replace(MANIFEST, chart="loss"), DESCRIBED)
    rounds, rows, line = entry["functions"][0]["ui_visualizations"]
    assert (rounds["type"], rounds["schema"]["location"]) == ("table", [ROUNDS])
    assert (rows["type"], rows["schema"]["location"]) == ("table", [ROWS])
    assert (line["type"], line["schema"]["location"]) == ("line", [CHART])
    assert set(only("", "loss")[CHART]) == {line["schema"]["x"], line["schema"]["y"]}


def test_an_image_without_a_chart_has_tables_only() -> None:
    shown = ENTRY["functions"][0]["ui_visualizations"]
    assert [each["type"] for each in shown] == ["table", "table"]


def test_the_form_says_what_may_be_overridden_and_what_it_is_otherwise() -> None:
    about = ENTRY["functions"][0]["arguments"][0]["description"]
    assert 'optimizer.name: "sgd"; optimizer.rate: 0.1; rounds: 3' in about


def test_the_form_explains_both_modes() -> None:
    [mode] = (each for each in ENTRY["functions"][0]["arguments"] if each["name"] == "mode")
    assert all(f"{value}: " in mode["description"] for value in mode["allowed_values"])


def test_an_app_that_says_little_has_an_entry_too() -> None:
    entry = store_entry("app:1", MANIFEST, {"project": {}})
    assert entry["description"] == "The Flower app app"
    assert entry["code_url"] == ""
