"""What an algorithm store of vantage6 5 says of an image: as for 4, with 5's steps."""

from algorithm.__main__ import FUNCTIONS
from algorithm.flower import strict_toml
from algorithm.image.store_entry import store_entry
from algorithm.image.store_entry_5 import entry_for_5
from algorithm.tests.fabs import MANIFEST, PYPROJECT
from proxy.calls import AskCall, EndCall, ExtractCall

FOUR = store_entry("reg/app:1", MANIFEST, strict_toml.loads(PYPROJECT))
FIVE = entry_for_5(FOUR)
STEPS = {each["name"]: each["step_type"] for each in FIVE["functions"]}


def test_each_function_has_the_step_that_its_tasks_have() -> None:
    assert STEPS["central"] == "central_compute"
    assert STEPS["extract"] == "data_extraction"
    assert {STEPS[name] for name in ("host", "courier", "per_round")} == {"federated_compute"}


def test_no_function_has_the_type_that_only_4_knows() -> None:
    assert not [each for each in FIVE["functions"] if "type" in each]
    assert all("type" in each for each in FOUR["functions"])


def test_it_names_every_function_but_those_that_repair_and_end_a_run() -> None:
    assert set(STEPS) == set(FUNCTIONS) - {AskCall.method, EndCall.method}


def test_the_extraction_takes_the_arguments_that_the_entry_names() -> None:
    extract = FIVE["functions"][-1]
    assert [each["name"] for each in extract["arguments"]] == ["name", "label", "for_one_run"]
    call = ExtractCall("df-1", "digits", for_one_run=False)
    assert list(call.task()["kwargs"]) == [each["name"] for each in extract["arguments"]]


def test_a_function_may_get_several_databases_but_an_extraction_one() -> None:
    several = {each["name"]: each["databases"][0]["multiple"] for each in FIVE["functions"]}
    assert several == {**dict.fromkeys(STEPS, True), "extract": False}
