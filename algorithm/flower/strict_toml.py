"""TOML of others, read within bounds: the reader takes the square of a dotted key's length.

The reader is Flower's (`tomli`, flwr 1.41, common/config.py): it reads TOML 1.1, Python's own 1.0.
"""

import re
from typing import Any

import tomli

# An app's pyproject.toml, or a run config.
MOST_BYTES = 256 << 10
_MOST_DOTS = 32
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
# Wherever it stands: no text has so many words with nothing but dots between them.
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_DOTS}}}")


def loads(text: str) -> dict[str, Any]:
    """Return the table that a TOML text describes.

    Raises
    ------
    ValueError
        If it is no TOML, or is too large or nested too deeply.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has {len(text):,} characters; the limit is {MOST_BYTES:,}")
    if _LONG_KEY.search(text):
        raise ValueError(f"it has a key of more than {_MOST_DOTS} parts")
    try:
        return tomli.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
