"""What several commands' options have in common."""

import argparse

from proxy.calls import LONGEST_SECONDS


def positive(text: str) -> int:
    """Return a whole number above zero: an argparse type."""
    value = int(text)
    if value <= 0:
        raise ValueError(text)
    return value


def seconds(text: str) -> float:
    """Return a time in seconds: an argparse type."""
    value = float(text)
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text} is no number of seconds above 0, {LONGEST_SECONDS:.0f} at most"
        )
    return value
