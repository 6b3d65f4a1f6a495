"""How all tests use hypothesis: CI tries more examples than every day needs."""

import os

from hypothesis import settings

# Time is never asserted, nor is it in what hypothesis reports. Tests that need more or fewer
# examples than others say how many times as many.
settings.register_profile("everyday", deadline=None, max_examples=15)
settings.register_profile("ci", deadline=None, max_examples=100)
settings.load_profile("ci" if "CI" in os.environ else "everyday")
