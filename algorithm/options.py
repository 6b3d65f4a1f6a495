"""What several commands' options have in common."""

import argparse
import math
from collections.abc import Callable
from typing import TypeVar

from proxy.calls import LONGEST_SECONDS

Number = TypeVar("Number", int, float)


def positive(kind: type[Number]) -> Callable[[str], Number]:
    """Return an argparse type: a finite number above zero."""

    def positive(text: str) -> Number:
        value = kind(text)
        if not 0 < value < math.inf:
            raise ValueError(text)
        return value

    return positive


def seconds(text: str) -> float:
    """Return a time in seconds: an argparse type."""
    value = float(text)
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text} is no number of seconds above 0, {LONGEST_SECONDS:.0f} at most"
        )
    return value
