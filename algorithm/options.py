"""What several commands' options have in common."""

import math
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def positive(kind: type[Number]) -> Callable[[str], Number]:
    """Return an argparse type: a finite number above zero."""

    def positive(text: str) -> Number:
        value = kind(text)
        if not 0 < value < math.inf:
            raise ValueError(text)
        return value

    return positive
