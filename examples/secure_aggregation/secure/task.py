"""Linear regression on scikit-learn's diabetes data: plain NumPy, nothing of Flower's."""

import numpy as np
from sklearn.datasets import load_diabetes

NUM_FEATURES = 10
_STEPS, _RATE = 20, 0.1

Patients = tuple[np.ndarray, np.ndarray]
"""Ten standardized features, and how the disease went on, in hundreds."""


def load_data(partition_id: int, num_partitions: int) -> Patients:
    """Load a station's patients; all stations have as many."""
    features, target = load_diabetes(return_X_y=True)
    rows = slice(partition_id, len(target) - len(target) % num_partitions, num_partitions)
    return features[rows] * np.sqrt(len(target)), target[rows] / 100


def new_weights() -> list[np.ndarray]:
    """Return where everyone starts: coefficients and intercept."""
    return [np.zeros(NUM_FEATURES), np.zeros(1)]


def train(weights: list[np.ndarray], data: Patients) -> list[np.ndarray]:
    """Go some steps down the gradient of half the squared error."""
    coefficients, intercept = weights
    features, target = data
    for _ in range(_STEPS):
        residual = features @ coefficients + intercept - target
        coefficients = coefficients - _RATE * features.T @ residual / len(target)
        intercept = intercept - _RATE * residual.mean()
    return [coefficients, intercept]
