"""The patients of a station: made up, the same ones each time."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Patients:
    """Systolic blood pressures (mmHg), and who of the patients smokes."""

    pressure: np.ndarray
    smokes: np.ndarray


def load_patients(node_config: Mapping[str, object]) -> Patients:
    """Return the patients of the station that this is."""
    partition_id = int(node_config["partition-id"])
    rng = np.random.default_rng(partition_id)
    number = 300 + 100 * partition_id
    smokes = rng.random(number) < 0.3
    pressure = rng.normal(125, 14, number) + 6 * smokes
    return Patients(pressure.round(1), smokes)
