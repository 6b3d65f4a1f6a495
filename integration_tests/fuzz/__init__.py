"""Fuzz targets: every parser of bytes that others wrote, one module each in `targets/`.

Whatever comes in, a parser returns, or raises an error that its target lists, in time and memory
that are bounded by what came in (`harness.py`). Inputs that once broke a parser, and what shows the
way into it, are kept in `corpus/<target>/`; seeds and bombs are made by the target itself.

`make fuzz SECONDS=60` mutates all that with atheris, or with hypothesis where atheris cannot be
installed (`drivers.py`). `integration_tests/test_fuzz.py` only tries it.
"""
