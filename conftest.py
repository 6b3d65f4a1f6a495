"""How all tests use hypothesis and the garbage collector.

CI tries more examples than every day needs.
"""

import gc
import os
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
