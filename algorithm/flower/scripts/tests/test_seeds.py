"""A ServerApp that starts again draws the numbers that it drew before, unless it seeds itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from algorithm.flower.environment import SCRIPTS

_BEGIN = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import seeds; seeds.seed_all(7);"
# A library whose generator keeps what seed it got, under the names of NumPy and of PyTorch.
_LIBRARIES = {
    "numpy/__init__.py": "from numpy import random",
    "numpy/random.py": "got = []\ndef seed(number): got.append(number)",
    "torch.py": "got = []\ndef manual_seed(number): got.append(number)",
}


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    for name, text in _LIBRARIES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def said(program: str, libraries: Path) -> str:
    """Run a program in a new process; returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(libraries)}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env=environment, text=True).strip()


def test_pythons_generator_draws_the_same_in_every_process(libraries: Path) -> None:
    program = f"{_BEGIN} import random; print(random.random())"
    assert said(program, libraries) == said(program, libraries)


def test_libraries_get_the_seed_when_they_are_imported_or_at_once(libraries: Path) -> None:
    later = f"{_BEGIN} import numpy, torch; print(numpy.random.got, torch.got)"
    assert said(later, libraries) == "[7] [7]"
    before = f"import numpy; {_BEGIN} import numpy, torch; print(numpy.random.got, torch.got)"
    assert said(before, libraries) == "[7] [7]"


def test_what_is_not_imported_is_not_imported_for_that(libraries: Path) -> None:
    assert said(f"{_BEGIN} print('numpy' in sys.modules)", libraries) == "False"


def test_a_library_that_is_not_there_is_missed_as_ever(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:] = [each for each in sys.path if 'site-packages' not in each];"
        f" {_BEGIN}\ntry:\n import torch\nexcept ModuleNotFoundError as error: print(error)"
    )
    assert said(program, tmp_path) == "No module named 'torch'"


def test_an_app_that_sets_its_own_seed_has_it(libraries: Path) -> None:
    own = "import random; random.seed(1); print(random.random())"
    assert said(f"{_BEGIN} {own}", libraries) == said(own, libraries)


def test_the_order_of_a_set_of_futures_does_not_depend_on_where_they_lie(tmp_path: Path) -> None:
    program = (
        f"{_BEGIN} from concurrent.futures import Future;"
        " futures = [Future() for _ in range(40)][::7];"
        " print([futures.index(future) for future in set(futures)])"
    )
    assert said(program, tmp_path) == "[0, 1, 2, 3, 4, 5]"
