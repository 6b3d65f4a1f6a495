"""How all tests use hypothesis and the garbage collector, and how many cases they try.

CI tries more examples than every day needs.
"""

import gc
import os
import zlib
from collections.abc import Generator

import pytest
from hypothesis import settings

# Time is never asserted, nor is it in what hypothesis reports. Tests that need more or fewer
# examples than others say how many times as many.
settings.register_profile("everyday", deadline=None, max_examples=10)
settings.register_profile("ci", deadline=None, max_examples=100)
settings.load_profile("ci" if "CI" in os.environ else "everyday")


# Each worker of `make unit` has all tests in memory, and would look for garbage among them again
# and again: five times alone when it ends.
@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage after the tests are collected, and only in what they make."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which `make unit` takes a minute."""
    parser.addoption(
        "--few",
        action="store_true",
        help="of a test's cases, try the first and a third of the others",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out most cases of a test that has many, if that is asked for; always the same ones."""
    if not config.getoption("few"):
        return
    seen: set[str] = set()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        test = item.nodeid.partition("[")[0]
        # Not one in three as they come: of three fixtures, that would always be the same one.
        wanted = test not in seen or zlib.crc32(item.nodeid.encode()) % 3 == 0
        (kept if wanted else left_out).append(item)
        seen.add(test)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)
