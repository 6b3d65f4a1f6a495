"""How all tests use hypothesis."""

from hypothesis import settings

# Time is never asserted, nor is it in what hypothesis reports.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")
