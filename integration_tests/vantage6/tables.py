"""What the data stations hold: tables as files, which their nodes have as databases."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

# How many of the 1797 images each organization has.
DIGITS = (300, 500, 997)


def write_digits(path: Path, station: int) -> Path:
    """Write the images of one station, as the app `digits_csv` reads them; returns the path."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    own = np.split(order, np.cumsum(DIGITS)[:-1])[station]
    rows = np.column_stack([digits.data[own], digits.target[own]])
    header = ",".join([*(f"pixel{number}" for number in range(64)), "digit"])
    np.savetxt(path, rows, fmt="%d", delimiter=",", header=header, comments="")
    return path
