"""What docs/seeds.md names is there: files, tests, and an answer in each row."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "seeds.md").read_text()
_ROW = re.compile(r"^\| (?!---)(.+) \| (.+) \| ?(.*?) ?\|$", re.MULTILINE)
_IN_TABLE = re.compile(r"^\|", re.MULTILINE)
_TEST = re.compile(r"`([\w/.]+\.py)(?:::(\w+))?`")
_FILE = re.compile(
    r"`((?:algorithm|benchmarks|docs|examples|images|integration_tests|monitoring|proxy)/[^`:]+)"
)
ROWS = [row for row in _ROW.findall(PAGE) if row[0] != "Asked for"]


def test_every_row_of_the_page_is_read() -> None:
    heads = PAGE.count("| Asked for | Where it is | Test |")
    assert heads == 5
    assert len(ROWS) + 2 * heads == len(_IN_TABLE.findall(PAGE))


@pytest.mark.parametrize("file", sorted(set(_FILE.findall(PAGE))))
def test_a_file_that_is_named_exists(file: str) -> None:
    assert (ROOT / file).exists()


@pytest.mark.parametrize(
    ("file", "test"),
    sorted({(file, test) for *_, tests in ROWS for file, test in _TEST.findall(tests)}),
)
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not test or test in names, f"{file} has no {test}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_names_a_test_or_says_that_nothing_is_there(row: tuple[str, str, str]) -> None:
    _, answer, tests = row
    named = _TEST.search(tests) or tests.startswith(("as above", "the same"))
    excused = "**not there**" in answer or "no test" in answer or answer.startswith("see ")
    assert named or excused
